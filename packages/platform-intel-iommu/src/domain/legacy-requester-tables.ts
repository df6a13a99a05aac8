import { requesterName, type AddressStep } from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';
import type { FormerTables } from '../takeover/former-tables.ts';
import { CONTEXT_WORDS, PRESENT, TYPE_PASS_THROUGH, TYPE_SHIFT, TYPE_TRANSLATED } from '../unit/vtd-registers.ts';
import { entryLeadsTo, type RequesterEntry } from './requester-entry.ts';
import { VtdRequesterTables } from './vtd-requester-tables.ts';

const DOMAIN_SHIFT = 8;

/** The root table and one context table of legacy mode: by bus, and by device and function. */
export class LegacyRequesterTables extends VtdRequesterTables {
  readonly root: number;
  readonly #sourceId: number;
  readonly #context: number;
  readonly #entry: RequesterEntry;

  /** Throws {@link DmaError} `ERR_DMA_EXHAUSTED`, and then nothing is allocated. */
  constructor(memory: GuestMemory, sourceId: number, entry: RequesterEntry, former?: FormerTables) {
    super(memory);
    this.#sourceId = sourceId;
    this.#entry = entry;
    this.root = this.allocate();
    const rootWord = (sourceId >>> 8) * CONTEXT_WORDS;
    const copied = this.copyContexts(this.root, former).get(rootWord);
    this.#context = copied ?? this.allocate();
    const { isPassThrough, table, width, domain } = entry;
    const flags = PRESENT | ((isPassThrough ? TYPE_PASS_THROUGH : TYPE_TRANSLATED) << TYPE_SHIFT);
    this.writeDevice(former, () =>
      this.write(this.#device, ...this.pointer(table, flags), (domain << DOMAIN_SHIFT) | width, 0),
    );
    if (copied === undefined) this.write(this.root / 4 + rootWord, ...this.pointer(this.#context, PRESENT));
  }

  protected clearDevice(): void {
    this.clear(this.#device);
  }

  /** Word index of the entry of the device. */
  get #device(): number {
    return this.#context / 4 + (this.#sourceId & 0xff) * CONTEXT_WORDS;
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
