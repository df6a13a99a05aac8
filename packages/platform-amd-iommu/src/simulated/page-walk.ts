import type { GuestMemory } from '@virtio-platform/core/memory';
import { FAULT_PRESENT, FAULT_RESERVED, IO_PAGE_FAULT, PAGE_TABLE_ERROR } from '../unit/event-format.ts';
import {
  ADDRESS_HIGH,
  MAY_READ,
  MAY_WRITE,
  NEXT_LEVEL_MASK,
  NEXT_LEVEL_SHIFT,
  PRESENT,
  RESERVED_HIGH,
  SIZED_PAGE,
} from '../unit/table-format.ts';
import type { DeviceEntries } from './device-entries.ts';

const WORD = 0x1_0000_0000;
const TABLE_BYTES = 4096;
const FRAME_BYTES = 4096;
const ENTRY_BYTES = 8;
const INDEX_BITS = 9;

/**
 * Walks page tables in guest memory (specification 48882, section 2.2.3), entry by entry: directories that skip levels,
 * and pages of each size. The results are fields, so that nothing is allocated.
 */
export class PageWalk {
  /** Frame of 4 KiB of the address, after a successful walk. */
  frame = 0;
  /** Whether all entries on the way are present. */
  isPresent = false;
  /** The permissions that all entries on the way have, that of the device too. */
  permissions = 0;
  /** After a fault: the flags of its event. */
  flags = 0;
  /** After a {@link PAGE_TABLE_ERROR}: the address of the entry that cannot be read. */
  entry = 0;
  readonly #memory: GuestMemory;

  constructor(memory: GuestMemory) {
    this.#memory = memory;
  }

  /** Walks the tables of a device. Returns 0, or the code of the event; 0 also for a page that is not mapped. */
  walk(device: DeviceEntries, low: number, high: number): number {
    const { u32 } = this.#memory;
    let { table, levels: level } = device;
    this.permissions = device.permissions;
    this.isPresent = false;
    // The number of the page of 4 KiB; what the levels do not translate has to be 0.
    const page = high * 2 ** 20 + (low >>> 12);
    if (page >= 2 ** (INDEX_BITS * level)) return 0;
    for (;;) {
      const run = 2 ** (INDEX_BITS * (level - 1));
      const address = table + (Math.floor(page / run) % 2 ** INDEX_BITS) * ENTRY_BYTES;
      this.entry = address;
      if (table % TABLE_BYTES !== 0 || !this.#memory.contains(address, ENTRY_BYTES)) return PAGE_TABLE_ERROR;
      const entryLow = Atomics.load(u32, address / 4);
      const entryHigh = u32[address / 4 + 1]!;
      if ((entryLow & PRESENT) === 0) return 0;
      if ((entryHigh & RESERVED_HIGH) !== 0) return this.#invalid(FAULT_RESERVED);
      this.permissions &= entryHigh;
      const next = (entryLow >>> NEXT_LEVEL_SHIFT) & NEXT_LEVEL_MASK;
      table = (entryHigh & ADDRESS_HIGH) * WORD + ((entryLow & -TABLE_BYTES) >>> 0);
      if (next === 0) return table % (run * FRAME_BYTES) === 0 ? this.#page(table, page % run) : this.#invalid(0);
      if (next === SIZED_PAGE) return this.#sizedPage(table, page, run);
      if (next >= level) return this.#invalid(0);
      // The bits of an address that skipped levels would translate.
      if (Math.floor((page % run) / 2 ** (INDEX_BITS * next)) !== 0) return this.#invalid(0);
      level = next;
    }
  }

  /** The lowest bit that is 0 says the size: bit 12 of two pages of 4 KiB, bit 13 of four. */
  #sizedPage(address: number, page: number, run: number): number {
    let frames = 2;
    while (Math.floor(address / FRAME_BYTES) % frames === frames - 1 && frames < run * 2 ** INDEX_BITS) frames *= 2;
    // Larger than a page of this level, and smaller than one of the next.
    if (frames <= run || frames >= run * 2 ** INDEX_BITS) return this.#invalid(0);
    const first = Math.floor(address / FRAME_BYTES / frames) * frames;
    return this.#page(first * FRAME_BYTES, page % frames);
  }

  #page(address: number, offset: number): number {
    this.frame = address / FRAME_BYTES + offset;
    this.isPresent = true;
    return 0;
  }

  #invalid(flags: number): number {
    this.flags = FAULT_PRESENT | flags;
    return IO_PAGE_FAULT;
  }
}

/** What an access needs of {@link PageWalk.permissions}. */
export function neededFor(access: 'read' | 'write'): number {
  return access === 'read' ? MAY_READ : MAY_WRITE;
}
