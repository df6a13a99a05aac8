import type { DriverContext, DriverQueue } from '@virtio-platform/core';
import { BufferSlots } from '@virtio-platform/device-kit';
import { BALLOON_PAGE_SIZE, MOST_PAGE_NUMBERS, PAGE_NUMBER_SIZE } from './layout.ts';

/**
 * The driver's end of inflateq or deflateq: requests of page numbers. A page of the guest is several pages of 4096
 * bytes where the guest has larger ones. The numbers are guest-physical, and no platform translates them.
 */
export class PageNumberQueue {
  /** Pages of the guest in one request at most. */
  readonly capacity: number;
  readonly slots: BufferSlots;
  readonly #context: DriverContext;
  readonly #numbersPerPage: number;
  /** By slot: how many pages of the guest it has, and their addresses. */
  readonly #counts: Uint16Array;
  readonly #pages: Float64Array;
  /** Slots that a queue reset returned, to be submitted again. */
  readonly #again: number[] = [];
  #inFlight = 0;

  /** Throws {@link DmaError} where there is no memory for the requests; then nothing stays allocated. */
  constructor(context: DriverContext, { queue, mapping }: DriverQueue, pageSize: number) {
    const { memory, depth, buffers } = context;
    this.#context = context;
    this.#numbersPerPage = pageSize / BALLOON_PAGE_SIZE;
    this.capacity = MOST_PAGE_NUMBERS / this.#numbersPerPage;
    const count = Math.min(depth, queue.size);
    this.#counts = new Uint16Array(count);
    this.#pages = new Float64Array(count * this.capacity);
    const readable = MOST_PAGE_NUMBERS * PAGE_NUMBER_SIZE;
    this.slots = new BufferSlots(memory, queue, mapping, { count, readable, writable: 0, buffers });
  }

  /** Pages of the guest in requests that the device has, or is to get again. */
  get pagesInFlight(): number {
    return this.#inFlight;
  }

  /** Takes a slot for a request, empty, or returns -1. Hot. */
  take(): number {
    const slot = this.slots.take();
    if (slot >= 0) this.#counts[slot] = 0;
    return slot;
  }

  /** Adds a page of the guest to a request that was taken. Hot. */
  append(slot: number, address: number): void {
    const { view } = this.#context.memory;
    const littleEndian = this.#context.byteOrder === 'little';
    const count = this.#counts[slot]!++;
    this.#pages[slot * this.capacity + count] = address;
    let at = this.slots.readableAddress(slot) + count * this.#numbersPerPage * PAGE_NUMBER_SIZE;
    const first = address / BALLOON_PAGE_SIZE;
    for (let i = 0; i < this.#numbersPerPage; i++, at += PAGE_NUMBER_SIZE) view.setUint32(at, first + i, littleEndian);
  }

  /** Pages of the guest in a request. Hot. */
  count(slot: number): number {
    return this.#counts[slot]!;
  }

  /** Pages of the guest in the request whose buffer has this id. */
  countOf(id: number): number {
    return this.#counts[this.slots.slotOf(id)]!;
  }

  /** The address of the `at`th page of a request. Hot. */
  page(slot: number, at: number): number {
    return this.#pages[slot * this.capacity + at]!;
  }

  /** Gives the device a request. Returns 0, or a negative reason: then the request is still the caller's. Hot. */
  submit(slot: number): number {
    const reason = this.#add(slot);
    if (reason === 0) this.#inFlight += this.#counts[slot]!;
    return reason;
  }

  /** Takes back what the device acknowledged: `slots.completedSlots`. Returns how many. Hot. */
  poll(): number {
    const came = this.slots.poll();
    for (let i = 0; i < came; i++) this.#inFlight -= this.#counts[this.slots.completedSlots[i]!]!;
    return came;
  }

  /** Submits again what a queue reset returned. Returns 0, or the negative reason why that is not done yet. */
  resubmit(): number {
    for (let slot = this.#again.at(-1); slot !== undefined; slot = this.#again.at(-1)) {
      const reason = this.#add(slot);
      if (reason !== 0) return reason;
      this.#again.pop();
    }
    return 0;
  }

  /** A queue reset returned the requests with these ids: whether the device saw them is not known. */
  recover(ids: readonly number[]): void {
    this.#again.push(...this.slots.recover(ids));
  }

  dispose(): void {
    this.slots.dispose();
  }

  #add(slot: number): number {
    return this.slots.submit(slot, this.#counts[slot]! * this.#numbersPerPage * PAGE_NUMBER_SIZE);
  }
}
