import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { DmaEntries } from './dma-entries.ts';
import type { IoPageTable } from './io-page-table.ts';
import type { MemoryLock } from './memory-lock.ts';

/** The mappings of one address space, with what each takes: an entry, locked memory, and its pages in the I/O page table. */
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

  /** Adds a mapping that overlaps no other. Returns false, and then nothing has changed, when there is no memory for it. */
  add(address: number, iova: number, size: number, permissions: number): boolean {
    if (!this.#lock.charge(size / PAGE_SIZE)) return false;
    if (!this.#table.fill(iova, size, address, permissions)) {
      this.#lock.release(size / PAGE_SIZE);
      return false;
    }
    this.entries.insert(iova, iova + size);
    return true;
  }

  /** Removes `count` mappings from the one at index `first` on, and returns their bytes. */
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
