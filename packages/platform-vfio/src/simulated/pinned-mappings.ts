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
   * Adds a mapping that overlaps no other, and charges its pages of memory. Returns false, and changes nothing, when it
   * would exceed a limit of memory.
   */
  add(address: number, iova: number, size: number, permissions: number): boolean {
    const pages = this.#lock.pagesOf(address, size);
    if (!this.#lock.charge(pages)) return false;
    if (!this.#table.fill(iova, size, address, permissions)) {
      this.#lock.release(pages);
      return false;
    }
    this.entries.insert(iova, iova + size, pages, this.#process);
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

/**
 * The mappings of a container in ascending order of their I/O virtual addresses, as the kernel keeps them in a tree.
 * `end` is the first address behind a mapping. Mapping allocates nothing but for the arrays, which double when they are
 * full.
 */
export class DmaEntries {
  #starts = new Float64Array(FIRST_ROOM);
  #ends = new Float64Array(FIRST_ROOM);
  #pages = new Float64Array(FIRST_ROOM);
  /** The number of the process that made it, and in bit 0 whether its memory is invalid. */
  #owners = new Uint32Array(FIRST_ROOM);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  start(index: number): number {
    return this.#starts[index]!;
  }

  end(index: number): number {
    return this.#ends[index]!;
  }

  /** Pages of memory that it locks, of 4 KiB. */
  pages(index: number): number {
    return this.#pages[index]!;
  }

  /** The number of the process whose memory it locks. */
  process(index: number): number {
    return this.#owners[index]! >>> 1;
  }

  setProcess(index: number, process: number): void {
    this.#owners[index] = (process << 1) | (this.#owners[index]! & 1);
  }

  isInvalid(index: number): boolean {
    return (this.#owners[index]! & 1) !== 0;
  }

  setInvalid(index: number, isInvalid: boolean): void {
    this.#owners[index] = (this.#owners[index]! & ~1) | (isInvalid ? 1 : 0);
  }

  /** Index of the first mapping that holds `iova` or lies behind it. */
  indexAt(iova: number): number {
    let low = 0;
    for (let high = this.#count; low < high;) {
      const middle = (low + high) >>> 1;
      if (this.#ends[middle]! <= iova) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  overlaps(start: number, end: number): boolean {
    const index = this.indexAt(start);
    return index < this.#count && this.#starts[index]! < end;
  }

  /** Adds a mapping that overlaps no other. */
  insert(start: number, end: number, pages: number, process: number): void {
    if (this.#count === this.#starts.length) this.#grow();
    const index = this.indexAt(start);
    this.#move(index + 1, index);
    this.#starts[index] = start;
    this.#ends[index] = end;
    this.#pages[index] = pages;
    this.#owners[index] = process << 1;
    this.#count++;
  }

  remove(index: number, count: number): void {
    this.#move(index, index + count);
    this.#count -= count;
  }

  /** Makes two mappings of the one at `index`: the second begins at `iova` inside it, and has `pages` of its pages. */
  split(index: number, iova: number, pages: number): void {
    const end = this.end(index);
    const process = this.process(index);
    this.#ends[index] = iova;
    this.#pages[index] = this.pages(index) - pages;
    this.insert(iova, end, pages, process);
  }

  #move(to: number, from: number): void {
    this.#starts.copyWithin(to, from, this.#count);
    this.#ends.copyWithin(to, from, this.#count);
    this.#pages.copyWithin(to, from, this.#count);
    this.#owners.copyWithin(to, from, this.#count);
  }

  #grow(): void {
    const room = this.#starts.length * 2;
    this.#starts = doubled(this.#starts, new Float64Array(room));
    this.#ends = doubled(this.#ends, new Float64Array(room));
    this.#pages = doubled(this.#pages, new Float64Array(room));
    this.#owners = doubled(this.#owners, new Uint32Array(room));
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

  constructor(addressWidth: number, reserved: readonly IovaRange[]) {
    this.reserved = [INTERRUPT_RANGE, ...reserved];
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
