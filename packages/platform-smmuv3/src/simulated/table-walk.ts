import { PAGE_READ, PAGE_WRITE } from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { F_ACCESS, F_ADDR_SIZE, F_TRANSLATION, F_WALK_EABT } from '../unit/event-types.ts';
import {
  CD_IGNORE_ACCESS_FLAG,
  ENTRY_ACCESSED,
  ENTRY_READ_ONLY,
  ENTRY_TABLE,
  ENTRY_UNPRIVILEGED,
  ENTRY_VALID,
} from '../unit/table-format.ts';
import { POWERS_OF_TWO } from './powers-of-two.ts';
import type { StreamConfig } from './stream-config.ts';

const WORD = 0x1_0000_0000;
const ENTRY_BYTES = 8;
/** Address bits of the high word. */
const ADDRESS_HIGH = 0x0000_ffff;
/** High word of a table entry: what all entries below permit no more (APTable): writes, and unprivileged accesses. */
const TABLE_READ_ONLY = 0x4000_0000;
const TABLE_PRIVILEGED = 0x2000_0000;
/** The page shift at which blocks of the second level exist, too: 1 GiB. */
const SMALL_PAGE_SHIFT = 12;

/**
 * Walks translation tables of stage 1 in guest memory, entry by entry, and checks each entry. The results are fields,
 * so that nothing is allocated.
 */
export class TableWalk {
  /** Physical address of the page of the granule that the address is in, after a successful walk. */
  page = 0;
  /** The permissions of the page. */
  permissions = 0;
  readonly #memory: GuestMemory;
  readonly #outputLimit: number;

  constructor(memory: GuestMemory, outputBits: number) {
    this.#memory = memory;
    this.#outputLimit = 2 ** outputBits;
  }

  /** Walks the tables of a device for an address below its limit. Returns 0, or the type of the event. */
  walk({ table: first, addressBits, pageShift, rules }: StreamConfig, low: number, high: number): number {
    const address = high * WORD + low;
    const indexBits = pageShift - 3;
    const granule = POWERS_OF_TWO[pageShift]!;
    const entries = granule / ENTRY_BYTES;
    const { u32 } = this.#memory;
    const levels = Math.ceil((addressBits - pageShift) / indexBits);
    let table = first;
    this.permissions = PAGE_READ | PAGE_WRITE;
    for (let level = levels; ; level--) {
      const run = POWERS_OF_TWO[pageShift + indexBits * (level - 1)]!;
      // The first table has fewer entries where the bits of the address do not fill it.
      const at = table + (Math.floor(address / run) % entries) * ENTRY_BYTES;
      if (!this.#memory.contains(at, ENTRY_BYTES)) return F_WALK_EABT;
      const entryLow = Atomics.load(u32, at / 4);
      const entryHigh = u32[at / 4 + 1]!;
      if ((entryLow & ENTRY_VALID) === 0) return F_TRANSLATION;
      const isTable = (entryLow & ENTRY_TABLE) !== 0;
      const base = (entryHigh & ADDRESS_HIGH) * WORD + (entryLow - (entryLow % granule));
      if (isTable && level > 1) {
        if (base >= this.#outputLimit) return F_ADDR_SIZE;
        if ((entryHigh & TABLE_READ_ONLY) !== 0) this.permissions &= ~PAGE_WRITE;
        if ((entryHigh & TABLE_PRIVILEGED) !== 0) this.permissions = 0;
        table = base;
        continue;
      }
      // A page is at the last level, and a block at the one before; with pages of 4 KiB also at the one before that.
      const isPlaced = isTable || level === 2 || (level === 3 && pageShift === SMALL_PAGE_SHIFT);
      if (!isPlaced) return F_TRANSLATION;
      if ((entryLow & ENTRY_ACCESSED) === 0 && (rules & CD_IGNORE_ACCESS_FLAG) === 0) return F_ACCESS;
      this.page = base - (base % run) + (address % run) - (address % granule);
      if (this.page >= this.#outputLimit) return F_ADDR_SIZE;
      if ((entryLow & ENTRY_READ_ONLY) !== 0) this.permissions &= ~PAGE_WRITE;
      // A device without a PASID is not privileged.
      if ((entryLow & ENTRY_UNPRIVILEGED) === 0) this.permissions = 0;
      return 0;
    }
  }
}
