import { requesterName, RequesterTables, type AddressStep } from '@virtio-platform/core/dma';
import { PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';
import {
  DEVICE_ENTRY_BYTES,
  DEVICE_ENTRY_WORDS,
  ENTRY_VALID,
  MAY_READ,
  MAY_WRITE,
  MODE_SHIFT,
  TRANSLATION_VALID,
} from '../unit/table-format.ts';

/** What the table says of the device. */
export interface DeviceEntry {
  /** Levels of its page tables (Mode); 0 lets the addresses through. */
  readonly levels: number;
  /** Physical address of the page table of the highest level; 0 for pass-through. */
  readonly table: number;
  readonly domain: number;
}

/**
 * The device table, by requester id. The entry of every other device has a translation that permits nothing: the unit
 * lets through what has no valid entry. A device behind the end of the table is refused.
 */
export class DeviceTable extends RequesterTables {
  readonly root: number;
  /** Bytes of the table, a multiple of 4 KiB. */
  readonly bytes: number;
  readonly #sourceId: number;
  readonly #entry: DeviceEntry;

  /** Throws {@link DmaError} `ERR_DMA_EXHAUSTED`, and then nothing is allocated. */
  constructor(memory: GuestMemory, sourceId: number, entry: DeviceEntry) {
    super(memory);
    this.#sourceId = sourceId;
    this.#entry = entry;
    // A power of two, as the alignment of the table is.
    this.bytes = Math.max(PAGE_SIZE, 2 ** Math.ceil(Math.log2((sourceId + 1) * DEVICE_ENTRY_BYTES)));
    this.root = this.allocate(this.bytes);
    const first = this.root / 4;
    for (let at = first; at < first + this.bytes / 4; at += DEVICE_ENTRY_WORDS)
      Atomics.store(memory.u32, at, ENTRY_VALID | TRANSLATION_VALID);
    const { levels, table, domain } = entry;
    const [low, high] = this.pointer(table, ENTRY_VALID | TRANSLATION_VALID | (levels << MODE_SHIFT));
    const at = first + sourceId * DEVICE_ENTRY_WORDS;
    this.write(at, low, high | MAY_READ | MAY_WRITE, domain, 0, 0, 0, 0, 0);
  }

  walk(): readonly AddressStep[] {
    const { levels, table, domain } = this.#entry;
    const leads =
      levels === 0
        ? 'pass-through (mode 0): nothing translates'
        : `domain ${domain}, ${levels} levels of tables at 0x${table.toString(16)}`;
    const name = `device table at 0x${this.root.toString(16)}`;
    return [{ table: name, says: `${requesterName(this.#sourceId)} is of ${leads}` }];
  }
}
