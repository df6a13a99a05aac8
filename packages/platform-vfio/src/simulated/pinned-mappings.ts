import { PAGE_SIZE } from '@virtio-platform/core/memory';
import type { IovaRange } from '../container/vfio-container.ts';
import type { IoPageTable } from './io-page-table.ts';
import type { MemoryLock } from './memory-lock.ts';

/** Where x86 devices write their interrupts. The IOMMU never translates it, so it cannot be mapped. */
const INTERRUPT_RANGE: IovaRange = { start: 0xfee0_0000, end: 0xfeef_ffff };

/**
 * The mappings of one address space, and what each takes: an entry, locked memory, and its pages in the I/O page table.
 */
export class PinnedMappings {
  readonly entries: DmaEntries;
  readonly #table: IoPageTable;
  readonly #lock: MemoryLock;

  /** Has room for `limit` mappings. */
  constructor(table: IoPageTable, lock: MemoryLock, limit: number) {
    this.entries = new DmaEntries(limit);
    this.#table = table;
    this.#lock = lock;
  }

  /**
   * Adds a mapping that overlaps no other. Returns false, and changes nothing, when it would exceed a limit of memory.
   */
  add(address: number, iova: number, size: number, permissions: number): boolean {
    if (!this.#lock.charge(size / PAGE_SIZE)) return false;
    if (!this.#table.fill(iova, size, address, permissions)) {
      this.#lock.release(size / PAGE_SIZE);
      return false;
    }
    this.entries.insert(iova, iova + size);
    return true;
  }

  /** Removes `count` mappings, beginning with the one at index `first`, and returns their bytes. */
  remove(first: number, count: number): number {
    let bytes = 0;
    for (let i = first; i < first + count; i++) {
      const start = this.entries.start(i);
      const size = this.entries.end(i) - start;
      this.#table.empty(start, size);
      bytes += size;
    }
    if (bytes === 0) return 0;
    this.#table.invalidate();
    this.entries.remove(first, count);
    this.#lock.release(bytes / PAGE_SIZE);
    return bytes;
  }
}

/**
 * The mappings of a container in ascending order of their I/O virtual addresses, as the kernel keeps them in a tree.
 * `end` is the first address behind a mapping. The arrays for all of them are allocated at the start, so that mapping
 * allocates nothing.
 */
export class DmaEntries {
  readonly #starts: Float64Array;
  readonly #ends: Float64Array;
  #count = 0;

  constructor(limit: number) {
    this.#starts = new Float64Array(limit);
    this.#ends = new Float64Array(limit);
  }

  get count(): number {
    return this.#count;
  }

  start(index: number): number {
    return this.#starts[index]!;
  }

  end(index: number): number {
    return this.#ends[index]!;
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
  insert(start: number, end: number): void {
    const index = this.indexAt(start);
    this.#starts.copyWithin(index + 1, index, this.#count);
    this.#ends.copyWithin(index + 1, index, this.#count);
    this.#starts[index] = start;
    this.#ends[index] = end;
    this.#count++;
  }

  remove(index: number, count: number): void {
    this.#starts.copyWithin(index, index + count, this.#count);
    this.#ends.copyWithin(index, index + count, this.#count);
    this.#count -= count;
  }
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
