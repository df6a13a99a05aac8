import type { BufferMapping, DriverHalf } from '@virtio-platform/core';
import { BufferSlots, NO_BUFFER } from '@virtio-platform/device-kit';
import { copyBytes } from '@virtio-platform/core/address-space';
import type { DmaMapping } from '@virtio-platform/core/dma';
import { FeatureSet } from '@virtio-platform/core/features';
import type { GuestMemory } from '@virtio-platform/core/memory';
import type { Virtqueue } from '@virtio-platform/core/queue';

/** An entropy device has no features of its own. */
export const ENTROPY_DRIVER_FEATURES: FeatureSet = FeatureSet.EMPTY;

/** Pieces that a request may have at most, each a descriptor. */
export const ENTROPY_MOST_PIECES = 4;

/** The settings of the entropy driver half. */
export interface EntropyDriverOptions {
  /** Requests in flight at once. */
  readonly depth: number;
  /** Bytes of the longest request. */
  readonly bytes: number;
  readonly buffers: BufferMapping;
}

/**
 * The driver half of an entropy device (specification 1.4 section 5.4): gives the device writable buffers only. The
 * device may fill less than it was given, and what lies behind the used length is no entropy: `read` never shows it.
 */
export class EntropyDriver implements DriverHalf {
  /** Bytes of the longest request. */
  readonly bytes: number;
  readonly #memory: GuestMemory;
  readonly #slots: BufferSlots;
  /** By slot: bytes that the device was asked for. */
  readonly #asked: Uint32Array;

  /** Throws {@link DmaError} when there is no memory for the buffers; then nothing stays allocated. */
  constructor(memory: GuestMemory, queue: Virtqueue, mapping: DmaMapping, options: EntropyDriverOptions) {
    const { depth: count, bytes, buffers } = options;
    this.#memory = memory;
    this.bytes = bytes;
    this.#slots = new BufferSlots(memory, queue, mapping, {
      count,
      readable: 0,
      writable: bytes,
      wipes: true,
      pieces: ENTROPY_MOST_PIECES,
      buffers,
    });
    this.#asked = new Uint32Array(count);
  }

  /** Most pieces of a request: {@link ENTROPY_MOST_PIECES}, and no more than the queue has entries. */
  get mostPieces(): number {
    return Math.min(ENTROPY_MOST_PIECES, this.#slots.queue.size);
  }

  /** Requests made and not polled back. */
  get inFlight(): number {
    return this.#slots.inFlight;
  }

  /**
   * Asks for `length` bytes, in `pieces` pieces. Returns the slot of the request, from 0 to depth - 1, by which
   * {@link slot} tells it again, or a negative reason: retry after the next completion. The buffer starts as zeros.
   * Throws `RangeError` for less than 1 byte or more than {@link bytes}, and for more pieces than there may be. Hot.
   */
  submit(length: number, pieces = 1): number {
    if (!(length >= 1 && length <= this.bytes && pieces >= 1 && pieces <= Math.min(this.mostPieces, length)))
      throw new RangeError(`${length} bytes in ${pieces} pieces, of ${this.bytes} bytes in ${this.mostPieces}`);
    const slot = this.#slots.take();
    if (slot < 0) return NO_BUFFER;
    this.#asked[slot] = length;
    const reason = this.#slots.submit(slot, 0, length, pieces);
    if (reason === 0) return slot;
    this.#slots.give(slot);
    return reason;
  }

  /** {@link submit} of the longest request. Returns 0, or a negative reason. Hot. */
  request(): number {
    return Math.min(0, this.submit(this.bytes));
  }

  /** Shows requests to the device. Returns whether it wants to be notified. Hot. */
  publish(): boolean {
    return this.#slots.queue.publish();
  }

  /** Takes back requests and returns how many. Each is then to be {@link read}, once. Hot. */
  poll(): number {
    return this.#slots.poll();
  }

  /** The slot of the `index`th request of the last `poll`. Hot. */
  slot(index: number): number {
    return this.#slots.completedSlots[index]!;
  }

  /** How many bytes the `index`th request of the last `poll` asked for. Hot. */
  asked(index: number): number {
    return this.#asked[this.slot(index)]!;
  }

  /** Where the buffer of a slot starts in guest memory, of {@link bytes} bytes however many were asked for. */
  address(slot: number): number {
    return this.#slots.writableAddress(slot);
  }

  /**
   * Copies what the `index`th request of the last `poll` got to the start of `target`, and returns how many bytes that
   * is: 1 to what was asked for, or 0 of a device that breaks the rules (section 5.4.6.2). Its slot is free then. Hot.
   */
  read(index: number, target: Uint8Array): number {
    const slot = this.slot(index);
    const length = Math.min(this.#slots.completedLengths[index]!, this.#asked[slot]!);
    copyBytes(target, 0, this.#memory.u8, this.#slots.writableAddress(slot), length);
    this.#slots.give(slot);
    return length;
  }

  /**
   * Takes back requests that a reset of the queue returned, by their ids: they are to be made again. Returns their
   * slots.
   */
  recover(ids: readonly number[]): readonly number[] {
    const slots = this.#slots.recover(ids);
    for (const slot of slots) this.#slots.give(slot);
    return slots;
  }

  describeBuffer(_queue: number, id: number): string {
    const length = this.#asked[this.#slots.slotOf(id)]!;
    return `read of ${length} ${length === 1 ? 'byte' : 'bytes'} of entropy`;
  }

  /** Gives back all buffers. Only after the device confirmed a reset and the queue was reset. */
  dispose(): void {
    this.#slots.dispose();
  }
}
