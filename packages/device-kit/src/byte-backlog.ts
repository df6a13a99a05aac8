import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import type { DescriptorChain } from '@virtio-platform/core/queue';
import { readChain, writeChain } from './chain-bytes.ts';

/**
 * Bytes that a device took and has not delivered yet, first in, first out, never more than its capacity. Hot: no
 * allocation.
 */
export class ByteBacklog {
  readonly capacity: number;
  readonly #bytes: Uint8Array;
  #start = 0;
  #length = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.#bytes = new Uint8Array(capacity);
  }

  get length(): number {
    return this.#length;
  }

  get room(): number {
    return this.capacity - this.#length;
  }

  clear(): void {
    this.#length = 0;
  }

  /**
   * Appends `length` (at most `room`) readable bytes of a chain, from its byte `skip` on. After a fault nothing, and
   * returns false.
   */
  appendFrom(chain: DescriptorChain, space: DeviceAddressSpace, skip: number, length: number): boolean {
    const end = (this.#start + this.#length) % this.capacity;
    const run = Math.min(length, this.capacity - end);
    const isRead =
      readChain(chain, space, skip, this.#bytes, end, run) &&
      readChain(chain, space, skip + run, this.#bytes, 0, length - run);
    if (isRead) this.#length += length;
    return isRead;
  }

  /**
   * Moves the first `length` bytes into the writable part of a chain, from its byte `skip` on. After a fault they are
   * lost, and returns false.
   */
  moveTo(chain: DescriptorChain, space: DeviceAddressSpace, skip: number, length: number): boolean {
    const start = this.#start;
    const run = Math.min(length, this.capacity - start);
    this.drop(length);
    return (
      writeChain(chain, space, skip, this.#bytes, start, run) &&
      writeChain(chain, space, skip + run, this.#bytes, 0, length - run)
    );
  }

  /** Forgets the first `length` bytes. */
  drop(length: number): void {
    this.#start = (this.#start + length) % this.capacity;
    this.#length -= length;
  }
}
