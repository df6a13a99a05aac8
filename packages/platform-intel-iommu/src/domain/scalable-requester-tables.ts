import { requesterName, type AddressStep } from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';
import type { FormerTables } from '../takeover/former-tables.ts';
import {
  FUNCTIONS_OF_HALF,
  PASID_PASS_THROUGH,
  PASID_SECOND_LEVEL,
  PASID_TYPE_SHIFT,
  PASID_WIDTH_SHIFT,
  SCALABLE_CONTEXT_WORDS,
  SCALABLE_MODE,
} from '../unit/scalable-format.ts';
import { CONTEXT_WORDS, PRESENT } from '../unit/vtd-registers.ts';
import { entryLeadsTo, type RequesterEntry } from './requester-entry.ts';
import { VtdRequesterTables } from './vtd-requester-tables.ts';

/** Words of the half of a root entry. */
const HALF_WORDS = 2;

/**
 * The tables of scalable mode: root table, context table, PASID directory and PASID table. Requests without a PASID
 * have the entry of PASID 0, which has the type of translation and the page tables.
 */
export class ScalableRequesterTables extends VtdRequesterTables {
  readonly root: number;
  readonly #sourceId: number;
  readonly #context: number;
  readonly #directory: number;
  readonly #pasids: number;
  readonly #entry: RequesterEntry;

  /** Throws {@link DmaError} `ERR_DMA_EXHAUSTED`, and then nothing is allocated. */
  constructor(memory: GuestMemory, sourceId: number, entry: RequesterEntry, former?: FormerTables) {
    super(memory);
    this.#sourceId = sourceId;
    this.#entry = entry;
    const root = this.allocate();
    this.root = root + SCALABLE_MODE;
    const half = (sourceId & 0xff) < FUNCTIONS_OF_HALF ? 0 : HALF_WORDS;
    const rootWord = (sourceId >>> 8) * CONTEXT_WORDS + half;
    const copied = this.copyContexts(root, former).get(rootWord);
    this.#context = copied ?? this.allocate();
    this.#directory = this.allocate();
    this.#pasids = this.allocate();
    const { isPassThrough, table, width, domain } = entry;
    const type = isPassThrough ? PASID_PASS_THROUGH : PASID_SECOND_LEVEL;
    const flags = PRESENT | (width << PASID_WIDTH_SHIFT) | (type << PASID_TYPE_SHIFT);
    this.write(this.#pasids / 4, ...this.pointer(table, flags), domain);
    this.write(this.#directory / 4, ...this.pointer(this.#pasids, PRESENT));
    this.writeDevice(former, () => this.write(this.#device, ...this.pointer(this.#directory, PRESENT)));
    if (copied === undefined) this.write(root / 4 + rootWord, ...this.pointer(this.#context, PRESENT));
  }

  protected clearDevice(): void {
    this.clear(this.#device);
  }

  /** Word index of the entry of the device. */
  get #device(): number {
    return this.#context / 4 + ((this.#sourceId & 0xff) % FUNCTIONS_OF_HALF) * SCALABLE_CONTEXT_WORDS;
  }

  walk(): readonly AddressStep[] {
    return [
      {
        table: `root table at ${hex(this.root - SCALABLE_MODE)}`,
        says: `bus ${this.#sourceId >>> 8} has the context table at ${hex(this.#context)}`,
      },
      {
        table: 'context table',
        says: `${requesterName(this.#sourceId)} has the PASID directory at ${hex(this.#directory)}`,
      },
      { table: 'PASID directory', says: `its first PASIDs have the table at ${hex(this.#pasids)}` },
      { table: 'PASID table', says: `PASID 0, for requests without one, is of ${entryLeadsTo(this.#entry)}` },
    ];
  }
}

function hex(address: number): string {
  return `0x${address.toString(16)}`;
}
