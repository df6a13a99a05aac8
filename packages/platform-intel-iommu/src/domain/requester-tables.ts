import type { AddressStep } from '@virtio-platform/core/dma';
import { PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';
import { CONTEXT_WORDS, PRESENT } from '../unit/vtd-registers.ts';
const WORD = 0x1_0000_0000;

/** A context entry: the translation type, and for a translated domain its page tables. */
export interface ContextEntry {
  /** Low word beside the address: present, and the translation type in place. */
  readonly flags: number;
  /** Physical address of the page table of the highest level; 0 for pass-through. */
  readonly table: number;
  /** Code of the address width (AW). */
  readonly width: number;
  readonly domain: number;
}

/**
 * The root table and one context table: by bus and by function they lead from a requester id to its domain. They
 * contain one device, so every other device behind this unit faults. They are written before the unit starts and do not
 * change while it runs.
 */
export class RequesterTables {
  readonly root: number;
  readonly #memory: GuestMemory;
  readonly #context: number;
  readonly #at: number;
  readonly #entry: ContextEntry;
  readonly #sourceId: number;

  /** Throws {@link DmaError} `ERR_DMA_EXHAUSTED`, and then nothing is allocated. */
  constructor(memory: GuestMemory, sourceId: number, entry: ContextEntry) {
    this.#memory = memory;
    this.#entry = entry;
    this.#sourceId = sourceId;
    this.root = memory.allocate(PAGE_SIZE);
    try {
      this.#context = memory.allocate(PAGE_SIZE);
    } catch (error) {
      memory.free(this.root);
      throw error;
    }
    const u32 = memory.u32;
    const [bus, devfn] = [(sourceId >>> 8) & 0xff, sourceId & 0xff];
    this.#at = this.#context / 4 + devfn * CONTEXT_WORDS;
    u32.set(contextWords(entry), this.#at);
    const rootAt = this.root / 4 + bus * CONTEXT_WORDS;
    u32[rootAt + 1] = Math.floor(this.#context / WORD);
    Atomics.store(u32, rootAt, (this.#context % WORD) | PRESENT);
  }

  /** Whether the entry is unchanged: a device that reaches all of memory can overwrite it. Cold. */
  isIntact(): boolean {
    return contextWords(this.#entry).every((word, i) => this.#memory.u32[this.#at + i] === word);
  }

  /** The way from the requester id to its domain. Cold. */
  walk(): readonly AddressStep[] {
    const { table, domain } = this.#entry;
    const [bus, devfn] = [(this.#sourceId >>> 8) & 0xff, this.#sourceId & 0xff];
    const place = `${bus.toString(16).padStart(2, '0')}:${(devfn >>> 3).toString(16).padStart(2, '0')}.${devfn & 7}`;
    const leads =
      table === 0 ? 'pass-through: nothing translates' : `domain ${domain}, tables at 0x${table.toString(16)}`;
    return [
      {
        table: `root table at 0x${this.root.toString(16)}`,
        says: `bus ${bus} has the context table at 0x${this.#context.toString(16)}`,
      },
      { table: 'context table', says: `${place} is of ${leads}` },
    ];
  }

  /** Frees the tables. Called after the unit stopped. */
  free(): void {
    this.#memory.free(this.root);
    this.#memory.free(this.#context);
  }
}

function contextWords({ flags, table, width, domain }: ContextEntry): Uint32Array {
  return Uint32Array.of((table % WORD) | flags, Math.floor(table / WORD), (domain << 8) | width, 0);
}
