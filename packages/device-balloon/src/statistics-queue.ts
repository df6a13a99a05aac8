import type { DriverContext, DriverQueue } from '@virtio-platform/core';
import { BufferSlots } from '@virtio-platform/device-kit';
import { STATISTIC_COUNT, STATISTIC_SIZE, STATISTIC_TAGS } from './layout.ts';

/** What a guest says of its memory, in bytes but for `pageFaults`. */
export interface GuestStatistics {
  readonly free: number;
  readonly total: number;
  /** Page faults that needed no input or output. */
  readonly pageFaults: number;
}

/**
 * The driver's end of statsq: the device has one buffer of statistics, gives it back to ask for new ones, and gets the
 * next. All statistics of the specification are in each buffer.
 */
export class StatisticsQueue {
  readonly slots: BufferSlots;
  readonly #context: DriverContext;
  /** Whether the device is to get a buffer. */
  #isDue = true;
  #answered = 0;

  /** Throws {@link DmaError}, and then nothing stays allocated. */
  constructor(context: DriverContext, { queue, mapping }: DriverQueue) {
    const { memory, buffers } = context;
    this.#context = context;
    const readable = STATISTIC_COUNT * STATISTIC_SIZE;
    this.slots = new BufferSlots(memory, queue, mapping, { count: 1, readable, writable: 0, buffers });
  }

  /** How often the device asked for statistics. */
  get answered(): number {
    return this.#answered;
  }

  /** Whether the device is to get a buffer: it asked for statistics, or has had none yet. */
  get isDue(): boolean {
    return this.#isDue;
  }

  /** Gives the device a buffer where it is to get one. Returns 0, or a negative reason. */
  fill(statistics: GuestStatistics): number {
    if (!this.#isDue) return 0;
    const slot = this.slots.take();
    this.#write(this.slots.readableAddress(slot), statistics);
    const reason = this.slots.submit(slot, STATISTIC_COUNT * STATISTIC_SIZE);
    if (reason === 0) this.#isDue = false;
    else this.slots.give(slot);
    return reason;
  }

  /** Returns whether the device asked for statistics: 1 or 0. */
  poll(): number {
    const came = this.slots.poll();
    if (came === 0) return 0;
    this.slots.give(this.slots.completedSlots[0]!);
    this.#isDue = true;
    this.#answered++;
    return came;
  }

  /** A queue reset returned the buffer. */
  recover(ids: readonly number[]): void {
    for (const slot of this.slots.recover(ids)) {
      this.slots.give(slot);
      this.#isDue = true;
    }
  }

  dispose(): void {
    this.slots.dispose();
  }

  #write(address: number, { free, total, pageFaults }: GuestStatistics): void {
    const { view } = this.#context.memory;
    const littleEndian = this.#context.byteOrder === 'little';
    const values = { freeMemory: free, availableMemory: free, totalMemory: total, minorFaults: pageFaults };
    let at = address;
    for (const [name, tag] of Object.entries(STATISTIC_TAGS)) {
      const value: number = Reflect.get(values, name) ?? 0;
      view.setUint16(at, tag, littleEndian);
      view.setBigUint64(at + 2, BigInt(value), littleEndian);
      at += STATISTIC_SIZE;
    }
  }
}
