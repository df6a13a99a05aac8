import type { IovaRange } from '../container/vfio-container.ts';
import type { IoPageTable } from './io-page-table.ts';
import type { MemoryLock } from './memory-lock.ts';

/** Where x86 devices write their interrupts. The IOMMU never translates it, so it cannot be mapped. */
const INTERRUPT_RANGE: IovaRange = { start: 0xfee0_0000, end: 0xfeef_ffff };

/**
 * The mappings of one address space, and what each takes: an entry, locked memory, and its pages in the I/O page table.
 * A mapping belongs to the process that made it, whose locked memory it counts as.
 */
export class PinnedMappings {
  readonly entries: DmaEntries = new DmaEntries();
  readonly #table: IoPageTable;
  #lock: MemoryLock;
  /** Counts processes; the one that calls now is the last. */
  #process = 0;
  #invalid = 0;

  constructor(table: IoPageTable, lock: MemoryLock) {
    this.#table = table;
    this.#lock = lock;
  }

  /** How many mappings have no valid memory of a process behind them ({@link invalidate}). */
  get invalid(): number {
    return this.#invalid;
  }

  /** Another process takes over: what it locks counts as its own, and mappings stay with the process that made them. */
  replaceProcess(lock: MemoryLock): void {
    this.#lock = lock;
    this.#process++;
  }

  /**
   * Adds a mapping at the index that {@link DmaEntries.gapAt} gave for it, and charges its pages of memory. Returns
   * false, and changes nothing, when it would exceed a limit of memory.
   */
  add(index: number, address: number, iova: number, size: number, permissions: number): boolean {
    const pages = this.#lock.pagesOf(address, size);
    if (!this.#lock.charge(pages)) return false;
    if (!this.#table.fill(iova, size, address, permissions)) {
      this.#lock.release(pages);
      return false;
    }
    this.entries.insert(index, iova, iova + size, pages, this.#process);
    return true;
  }

  /** Removes `count` mappings, beginning with the one at index `first`, and returns their bytes. */
  remove(first: number, count: number): number {
    let bytes = 0;
    for (let i = first; i < first + count; i++) {
      const start = this.entries.start(i);
      const size = this.entries.end(i) - start;
      this.#table.empty(start, size);
      // The locked memory of a process that is gone went with it.
      if (this.entries.process(i) === this.#process) this.#lock.release(this.entries.pages(i));
      if (this.entries.isInvalid(i)) this.#invalid--;
      bytes += size;
    }
    if (bytes === 0) return 0;
    this.#table.invalidate();
    this.entries.remove(first, count);
    return bytes;
  }

  /** Takes the memory of the process away from `count` mappings. Devices go on to use the pages, which stay pinned. */
  invalidate(first: number, count: number): void {
    for (let i = first; i < first + count; i++) this.entries.setInvalid(i, true);
    this.#invalid += count;
  }

  /**
   * Gives one invalidated mapping memory of the process that calls, whose locked memory it counts as from now on.
   * Returns false, and changes nothing, over the limit.
   */
  adopt(index: number): boolean {
    if (this.entries.process(index) !== this.#process && !this.#lock.charge(this.entries.pages(index))) return false;
    this.entries.setProcess(index, this.#process);
    this.entries.setInvalid(index, false);
    this.#invalid--;
    return true;
  }
}

/** How many mappings there is room for at the start. The arrays grow by doubling. */
const FIRST_ROOM = 1024;
/** So many mappings are moved faster by a loop than by a call. */
const FEW = 16;

/**
 * The mappings of a container in ascending order of their I/O virtual addresses, as the kernel keeps them in a tree.
 * `end` is the first address behind a mapping. Mapping allocates nothing but for the arrays, which double when they are
 * half full. The list is in the middle of them, so that a mapping that comes or goes moves only those in front of it or
 * those behind it, whichever are fewer: none where the addresses are used as a ring.
 */
export class DmaEntries {
  #starts: Float64Array<ArrayBuffer>;
  #ends: Float64Array<ArrayBuffer>;
  #pages: Float64Array<ArrayBuffer>;
  /** The number of the process that made it, and in bit 0 whether its memory is invalid. */
  #owners: Uint32Array<ArrayBuffer>;
  /** Where the list begins in the arrays, and where it ends. */
  #first = 0;
  #behind = 0;
  /** The place at which the next mapping is added or removed, where that follows the last one. */
  #near = 0;

  /** `room` is how many mappings there are before the arrays grow. */
  constructor(room: number = FIRST_ROOM) {
    const length = 2 * room;
    this.#starts = new Float64Array(length);
    this.#ends = new Float64Array(length);
    this.#pages = new Float64Array(length);
    this.#owners = new Uint32Array(length);
  }

  get count(): number {
    return this.#behind - this.#first;
  }

  start(index: number): number {
    return this.#starts[this.#first + index]!;
  }

  end(index: number): number {
    return this.#ends[this.#first + index]!;
  }

  /** Pages of memory that it locks, of 4 KiB. */
  pages(index: number): number {
    return this.#pages[this.#first + index]!;
  }

  /** The number of the process whose memory it locks. */
  process(index: number): number {
    return this.#owners[this.#first + index]! >>> 1;
  }

  setProcess(index: number, process: number): void {
    const at = this.#first + index;
    this.#owners[at] = (process << 1) | (this.#owners[at]! & 1);
  }

  isInvalid(index: number): boolean {
    return (this.#owners[this.#first + index]! & 1) !== 0;
  }

  setInvalid(index: number, isInvalid: boolean): void {
    const at = this.#first + index;
    this.#owners[at] = (this.#owners[at]! & ~1) | (isInvalid ? 1 : 0);
  }

  /** Index of the first mapping that holds `iova` or lies behind it. */
  indexAt(iova: number): number {
    const ends = this.#ends;
    let low = this.#first;
    let high = this.#behind;
    const near = this.#near;
    if (near >= low && near < high && ends[near]! > iova && (near === low || ends[near - 1]! <= iova))
      return near - low;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (ends[middle]! <= iova) low = middle + 1;
      else high = middle;
    }
    return low - this.#first;
  }

  /** The index at which a mapping has to be added, or -1 where it overlaps another one. */
  gapAt(start: number, end: number): number {
    const index = this.indexAt(start);
    return index < this.count && this.start(index) < end ? -1 : index;
  }

  /** Adds a mapping at the index that {@link gapAt} gave for it. */
  insert(index: number, start: number, end: number, pages: number, process: number): void {
    if (this.#first === 0 || this.#behind === this.#starts.length) this.#makeRoom();
    let at = this.#first + index;
    if (index < this.#behind - at) {
      this.#move(this.#first, at, -1);
      this.#first--;
      at--;
    } else {
      this.#move(at, this.#behind, 1);
      this.#behind++;
    }
    this.#starts[at] = start;
    this.#ends[at] = end;
    this.#pages[at] = pages;
    this.#owners[at] = process << 1;
    this.#near = at + 1;
  }

  remove(index: number, count: number): void {
    const at = this.#first + index;
    if (index < this.#behind - at - count) {
      this.#move(this.#first, at, count);
      this.#first += count;
      this.#near = at + count;
    } else {
      this.#move(at + count, this.#behind, -count);
      this.#behind -= count;
      this.#near = at;
    }
  }

  /** Makes two mappings of the one at `index`: the second begins at `iova` inside it, and has `pages` of its pages. */
  split(index: number, iova: number, pages: number): void {
    const end = this.end(index);
    const process = this.process(index);
    this.#ends[this.#first + index] = iova;
    this.#pages[this.#first + index] = this.pages(index) - pages;
    this.insert(index + 1, iova, end, pages, process);
  }

  /** Moves the list to the middle of the arrays, of longer ones where they are half full. */
  #makeRoom(): void {
    const { length } = this.#starts;
    if (2 * (this.count + 1) > length) {
      this.#starts = doubled(this.#starts, new Float64Array(2 * length));
      this.#ends = doubled(this.#ends, new Float64Array(2 * length));
      this.#pages = doubled(this.#pages, new Float64Array(2 * length));
      this.#owners = doubled(this.#owners, new Uint32Array(2 * length));
    }
    const by = ((this.#starts.length - this.count) >>> 1) - this.#first;
    this.#move(this.#first, this.#behind, by);
    this.#first += by;
    this.#behind += by;
  }

  /** Moves a part of the list to higher or lower places: a few in a loop, which is faster than a call. */
  #move(from: number, to: number, by: number): void {
    const starts = this.#starts;
    const ends = this.#ends;
    const pages = this.#pages;
    const owners = this.#owners;
    if (to - from > FEW) {
      starts.copyWithin(from + by, from, to);
      ends.copyWithin(from + by, from, to);
      pages.copyWithin(from + by, from, to);
      owners.copyWithin(from + by, from, to);
      return;
    }
    const step = by > 0 ? -1 : 1;
    for (let i = 0, at = by > 0 ? to - 1 : from; i < to - from; i++, at += step) {
      starts[at + by] = starts[at]!;
      ends[at + by] = ends[at]!;
      pages[at + by] = pages[at]!;
      owners[at + by] = owners[at]!;
    }
  }
}

function doubled<Values extends Float64Array<ArrayBuffer> | Uint32Array<ArrayBuffer>>(
  from: Values,
  to: Values,
): Values {
  to.set(from);
  return to;
}

/**
 * The addresses that an IOMMU translates: all of its address width without the reserved ranges and the interrupt range.
 */
export class IovaAperture {
  /** The ranges that can be mapped, in ascending order. */
  readonly ranges: readonly IovaRange[];
  /** The ranges that cannot be mapped. */
  readonly reserved: readonly IovaRange[];
  /** Of those the one of interrupts. */
  readonly interrupts: readonly IovaRange[] = [INTERRUPT_RANGE];

  constructor(addressWidth: number, reserved: readonly IovaRange[]) {
    this.reserved = [...this.interrupts, ...reserved];
    let ranges: IovaRange[] = [{ start: 0, end: 2 ** addressWidth - 1 }];
    for (const hole of this.reserved) ranges = ranges.flatMap((range) => without(range, hole));
    this.ranges = ranges;
  }

  /** Whether all of a range can be mapped. Hot: no allocation. */
  holds(start: number, size: number): boolean {
    for (let i = 0; i < this.ranges.length; i++) {
      const range = this.ranges[i]!;
      if (start >= range.start && start + size - 1 <= range.end) return true;
    }
    return false;
  }
}

function without(range: IovaRange, hole: IovaRange): IovaRange[] {
  const before = { start: range.start, end: Math.min(range.end, hole.start - 1) };
  const behind = { start: Math.max(range.start, hole.end + 1), end: range.end };
  return [before, behind].filter(({ start, end }) => start <= end);
}
