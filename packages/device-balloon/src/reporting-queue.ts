import type { DriverContext, DriverQueue } from '@virtio-platform/core';
import { ScatterList, UsedBatch, type Virtqueue } from '@virtio-platform/core/queue';
import type { GuestPages } from './guest-pages.ts';

/** Blocks of one report at most, as Linux's page_reporting has it. */
const MOST_BLOCKS = 32;
/** Pages of the guest in a block: in place of Linux's pageblocks of 2 MiB, which are large for a small guest. */
const BLOCK_PAGES = 4;

/**
 * The driver's end of reporting_vq: reports of free blocks, one at a time as in Linux. The blocks themselves are the
 * buffers, so the queue maps them, unlike the pages of inflateq. While a block is reported, it is not free.
 */
export class ReportingQueue {
  readonly queue: Virtqueue;
  /** Bytes of each block. */
  readonly blockBytes: number;
  readonly #context: DriverContext;
  readonly #pages: GuestPages;
  readonly #list: ScatterList;
  readonly #batch = new UsedBatch(1);
  readonly #blocks: Float64Array;
  #count = 0;
  #state: 'idle' | 'ready' | 'in-flight' | 'returned' = 'idle';

  constructor(context: DriverContext, { queue }: DriverQueue, pages: GuestPages) {
    this.queue = queue;
    this.#context = context;
    this.#pages = pages;
    this.blockBytes = BLOCK_PAGES * pages.size;
    this.#list = new ScatterList(Math.min(MOST_BLOCKS, queue.size));
    this.#blocks = new Float64Array(this.#list.capacity);
  }

  /** Blocks of the report that is being made, or came back. */
  get count(): number {
    return this.#count;
  }

  /** Whether a report came back that is still to be released. */
  get isReturned(): boolean {
    return this.#state === 'returned';
  }

  /** The address of a block of the report. */
  block(at: number): number {
    return this.#blocks[at]!;
  }

  /**
   * Reports up to `most` free blocks, filled with `poison` where that is given. Returns how many blocks there are: 0
   * where none is free, or an earlier report is not released. {@link resubmit} adds a report that cannot be added yet.
   */
  report(most: number, poison: number | undefined): number {
    if (this.#state !== 'idle') return 0;
    const limit = Math.min(most, this.#list.capacity);
    for (this.#count = 0; this.#count < limit; this.#count++) {
      const address = this.#pages.take(BLOCK_PAGES);
      if (address < 0) break;
      if (poison !== undefined) this.#context.memory.u32.fill(poison, address / 4, (address + this.blockBytes) / 4);
      this.#blocks[this.#count] = address;
    }
    if (this.#count === 0) return 0;
    this.#state = 'ready';
    this.resubmit();
    return this.#count;
  }

  /** Adds a report that could not be added, or that a queue reset returned. Returns 0, or a negative reason. */
  resubmit(): number {
    if (this.#state !== 'ready') return 0;
    this.#list.clear();
    for (let at = 0; at < this.#count; at++) this.#list.addWritable(this.#blocks[at]!, this.blockBytes);
    const head = this.queue.add(this.#list);
    if (head < 0) return head;
    this.#state = 'in-flight';
    return 0;
  }

  /** Returns whether the report came back: 1 or 0. Its blocks are to be looked at, and released. */
  poll(): number {
    const came = this.queue.takeUsed(this.#batch);
    if (came > 0) this.#state = 'returned';
    return came;
  }

  /** The address of the first byte of the report that is not of `poison`; -1 where each is. */
  firstUnpoisoned(poison: number): number {
    const { u32 } = this.#context.memory;
    for (let at = 0; at < this.#count; at++) {
      const start = this.#blocks[at]! / 4;
      for (let i = start; i < start + this.blockBytes / 4; i++) if (u32[i] !== poison) return i * 4;
    }
    return -1;
  }

  /** Makes the blocks of a report that came back free again. */
  release(): void {
    for (let at = 0; at < this.#count; at++) this.#pages.give(this.#blocks[at]!);
    this.#count = 0;
    this.#state = 'idle';
  }

  /** A queue reset returned the report. */
  recover(ids: readonly number[]): void {
    if (ids.length > 0) this.#state = 'ready';
  }
}
