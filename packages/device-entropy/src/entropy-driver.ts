import { type BufferMapping } from '@virtio-platform/core';
import { BufferSlots, NO_BUFFER } from '@virtio-platform/device-kit';
import { copyBytes } from '@virtio-platform/core/address-space';
import type { DmaMapping } from '@virtio-platform/core/dma';
import { FeatureSet } from '@virtio-platform/core/features';
import type { GuestMemory } from '@virtio-platform/core/memory';
import type { Virtqueue } from '@virtio-platform/core/queue';

/** An entropy device has no features of its own. */
export const ENTROPY_DRIVER_FEATURES: FeatureSet = FeatureSet.EMPTY;

/** The settings of the entropy driver half. */
export interface EntropyDriverOptions {
  /** Requests in flight at once. */
  readonly depth: number;
  /** Bytes of each request. */
  readonly bytes: number;
  readonly buffers: BufferMapping;
}

/**
 * The driver half of an entropy device (specification 1.4 section 5.4): gives the device writable buffers only. The
 * device may fill less than it was given, and what lies behind the used length is no entropy: `read` never shows it.
 */
export class EntropyDriver {
  readonly #memory: GuestMemory;
  readonly #slots: BufferSlots;
  readonly #bytes: number;

  /** Throws {@link DmaError} when there is no memory for the buffers; then nothing stays allocated. */
  constructor(memory: GuestMemory, queue: Virtqueue, mapping: DmaMapping, options: EntropyDriverOptions) {
    const { depth: count, bytes, buffers } = options;
    this.#memory = memory;
    this.#slots = new BufferSlots(memory, queue, mapping, {
      count,
      readable: 0,
      writable: bytes,
      wipes: true,
      buffers,
    });
    this.#bytes = bytes;
  }

  /** Requests made and not polled back. */
  get inFlight(): number {
    return this.#slots.inFlight;
  }

  /**
   * Asks for bytes. Returns 0, or a negative reason: retry after the next completion. The buffer starts as zeros. Hot.
   */
  request(): number {
    const slot = this.#slots.take();
    if (slot < 0) return NO_BUFFER;
    const reason = this.#slots.submit(slot, 0);
    if (reason < 0) this.#slots.give(slot);
    return reason;
  }

  /** Shows requests to the device. Returns whether it wants to be notified. Hot. */
  publish(): boolean {
    return this.#slots.queue.publish();
  }

  /** Takes back requests and returns how many. Each is then to be {@link read}, once. Hot. */
  poll(): number {
    return this.#slots.poll();
  }

  /**
   * Copies what the `index`th request of the last `poll` got to the start of `target`, and returns how many bytes that
   * is. Hot.
   */
  read(index: number, target: Uint8Array): number {
    const slot = this.#slots.completedSlots[index]!;
    const length = Math.min(this.#slots.completedLengths[index]!, this.#bytes);
    copyBytes(target, 0, this.#memory.u8, this.#slots.writableAddress(slot), length);
    this.#slots.give(slot);
    return length;
  }

  /** Takes back requests that a reset of the queue returned, by their ids: they are to be made again. */
  recover(ids: readonly number[]): void {
    for (const slot of this.#slots.recover(ids)) this.#slots.give(slot);
  }

  /** Gives back all buffers. Only after the device confirmed a reset and the queue was reset. */
  dispose(): void {
    this.#slots.dispose();
  }
}
