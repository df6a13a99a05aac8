import type { AddressStep } from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { CONTEXT_WORDS, PRESENT, TYPE_PASS_THROUGH, TYPE_SHIFT, TYPE_TRANSLATED } from '../unit/vtd-registers.ts';
import { entryLeadsTo, requesterName, RequesterTables, type RequesterEntry } from './requester-tables.ts';

const DOMAIN_SHIFT = 8;

/** The root table and one context table of legacy mode: by bus, and by device and function. */
export class LegacyRequesterTables extends RequesterTables {
  readonly root: number;
  readonly #sourceId: number;
  readonly #context: number;
  readonly #entry: RequesterEntry;

  /** Throws {@link DmaError} `ERR_DMA_EXHAUSTED`, and then nothing is allocated. */
  constructor(memory: GuestMemory, sourceId: number, entry: RequesterEntry) {
    super(memory);
    this.#sourceId = sourceId;
    this.#entry = entry;
    this.root = this.allocate();
    this.#context = this.allocate();
    const { isPassThrough, table, width, domain } = entry;
    const flags = PRESENT | ((isPassThrough ? TYPE_PASS_THROUGH : TYPE_TRANSLATED) << TYPE_SHIFT);
    const at = this.#context / 4 + (sourceId & 0xff) * CONTEXT_WORDS;
    this.write(at, ...this.pointer(table, flags), (domain << DOMAIN_SHIFT) | width, 0);
    this.write(this.root / 4 + (sourceId >>> 8) * CONTEXT_WORDS, ...this.pointer(this.#context, PRESENT));
  }

  walk(): readonly AddressStep[] {
    return [
      {
        table: `root table at 0x${this.root.toString(16)}`,
        says: `bus ${this.#sourceId >>> 8} has the context table at 0x${this.#context.toString(16)}`,
      },
      { table: 'context table', says: `${requesterName(this.#sourceId)} is of ${entryLeadsTo(this.#entry)}` },
    ];
  }
}
