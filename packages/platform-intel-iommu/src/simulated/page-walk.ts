import type { GuestMemory } from '@virtio-platform/core/memory';
import { ENTRY_LARGE, ENTRY_READ, ENTRY_RESERVED, ENTRY_WRITE, TABLE_UNREADABLE } from '../unit/vtd-registers.ts';
const WORD = 0x1_0000_0000;
const TABLE_BYTES = 4096;
const ENTRY_BYTES = 8;
/** Of an entry: snooping, which this unit does not control; and physical address bits above what it has (48). */
const RESERVED_LOW = 0x800;
const RESERVED_HIGH = 0x000f_0000;
/** Address bits of the high word. */
const ADDRESS_HIGH = 0x0000_ffff;
/** Address bits of an entry of 2 MiB that have to be 0. */
const LARGE_RESERVED = 0x001f_f000;
const PAGE_SHIFTS = [0, 12, 21, 30, 39];

/**
 * The unit's walk through second-level tables in guest memory, entry by entry, which trusts nothing it finds. What it finds is in its
 * fields, so that nothing is allocated.
 */
export class PageWalk {
  /** Page frame of the page that was asked for, where the walk succeeded. */
  frame = 0;
  /** What every entry on the way permits; 0 where one is not present. */
  permissions = 0;
  readonly #memory: GuestMemory;

  constructor(memory: GuestMemory) {
    this.#memory = memory;
  }

  /** Walks from a table of `levels` levels. Returns 0, or the reason of the fault. What is merely not mapped is no fault yet. */
  walk(table: number, levels: number, low: number, high: number): number {
    const { u32, size } = this.#memory;
    this.permissions = ENTRY_READ | ENTRY_WRITE;
    for (let level = levels; ; level--) {
      if (table % TABLE_BYTES !== 0 || table + TABLE_BYTES > size) return TABLE_UNREADABLE;
      const at = (table + indexAt(level, low, high) * ENTRY_BYTES) / 4;
      const entryLow = Atomics.load(u32, at);
      const entryHigh = u32[at + 1]!;
      this.permissions &= entryLow;
      if (this.permissions === 0) return 0;
      if ((entryLow & RESERVED_LOW) !== 0 || (entryHigh & RESERVED_HIGH) !== 0) return ENTRY_RESERVED;
      const isLarge = level > 1 && (entryLow & ENTRY_LARGE) !== 0;
      // Pages of 2 MiB are the only large ones here.
      if (isLarge && (level > 2 || (entryLow & LARGE_RESERVED) !== 0)) return ENTRY_RESERVED;
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
