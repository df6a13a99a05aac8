import type { GuestMemory } from '@virtio-platform/core/memory';
import type { TranslationReasons } from '../unit/fault-reasons.ts';
import { ENTRY_LARGE, ENTRY_READ, ENTRY_WRITE } from '../unit/vtd-registers.ts';
import type { RequesterEntry } from './requester-entry.ts';

const WORD = 0x1_0000_0000;
const TABLE_BYTES = 4096;
const ENTRY_BYTES = 8;
/** Reserved low-word bit of an entry: snooping, which this unit does not control. */
const RESERVED_LOW = 0x800;
/** Reserved high-word bits of an entry: physical address bits above 48. */
const RESERVED_HIGH = 0x000f_0000;
/** Address bits of the high word. */
const ADDRESS_HIGH = 0x0000_ffff;
/** Address bits of an entry of 2 MiB that must be 0. */
const LARGE_RESERVED = 0x001f_f000;
const PAGE_SHIFTS = [0, 12, 21, 30, 39, 48];

/**
 * Walks second-level tables in guest memory, entry by entry, and checks each entry. The results are fields, so that
 * nothing is allocated.
 */
export class PageWalk {
  /** Page frame of the page, after a successful walk. */
  frame = 0;
  /** The permissions that all entries on the way have; 0 where one is not present. */
  permissions = 0;
  readonly #memory: GuestMemory;

  constructor(memory: GuestMemory) {
    this.#memory = memory;
  }

  /**
   * Walks the tables of a device. Returns 0, or the reason of the fault; 0 also for a page that is not mapped.
   */
  walk({ table: top, levels }: RequesterEntry, low: number, high: number, reasons: TranslationReasons): number {
    const { u32, size } = this.#memory;
    let table = top;
    this.permissions = ENTRY_READ | ENTRY_WRITE;
    for (let level = levels; ; level--) {
      if (table % TABLE_BYTES !== 0 || table + TABLE_BYTES > size)
        return level === levels ? reasons.topUnreadable : reasons.unreadable;
      const at = (table + indexAt(level, low, high) * ENTRY_BYTES) / 4;
      const entryLow = Atomics.load(u32, at);
      const entryHigh = u32[at + 1]!;
      this.permissions &= entryLow;
      if (this.permissions === 0) return 0;
      if ((entryLow & RESERVED_LOW) !== 0 || (entryHigh & RESERVED_HIGH) !== 0) return reasons.reserved;
      const isLarge = level > 1 && (entryLow & ENTRY_LARGE) !== 0;
      // This unit has no larger pages than 2 MiB.
      if (isLarge && (level > 2 || (entryLow & LARGE_RESERVED) !== 0)) return reasons.reserved;
      table = (entryHigh & ADDRESS_HIGH) * WORD + ((entryLow & -TABLE_BYTES) >>> 0);
      if (level > 1 && !isLarge) continue;
      this.frame = table / TABLE_BYTES + (isLarge ? (low >>> 12) & 0x1ff : 0);
      return 0;
    }
  }
}

/** Which entry of a table of a level translates an address. */
function indexAt(level: number, low: number, high: number): number {
  const shift = PAGE_SHIFTS[level]!;
  return shift >= 32 ? (high >>> (shift - 32)) & 0x1ff : ((low >>> shift) | (high * 2 ** (32 - shift))) & 0x1ff;
}
