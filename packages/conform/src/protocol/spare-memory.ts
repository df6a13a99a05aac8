import type { BenchBuffer } from '@virtio-platform/core';
import { SharedMemory } from '@virtio-platform/host';
import type { Region } from './payload.ts';

/** A second run of memory, of its own file, that a case gives to a back-end and takes away. */
export class SpareMemory implements Disposable {
  readonly bytes: Uint8Array;
  readonly region: Region;
  readonly #shared: SharedMemory;

  /** `guest` is the guest address of the first byte. */
  constructor(guest: bigint, size = 0x1_0000) {
    this.#shared = SharedMemory.create(size);
    this.bytes = new Uint8Array(this.#shared.buffer);
    this.bytes.fill(0xaa);
    this.region = { guest, size: BigInt(size), user: 0x7e00_0000_0000n + guest, offset: 0n };
  }

  get descriptor(): number {
    return this.#shared.descriptor;
  }

  /** A buffer in it, at a byte offset. */
  buffer(name: string, offset: number, length: number): BenchBuffer {
    const address = this.region.guest + BigInt(offset);
    return {
      name,
      address: Number(address),
      length,
      low: Number(address & 0xffff_ffffn),
      high: Number(address >> 32n),
      write: (source, at = 0) => this.bytes.set(source, offset + at),
      read: (at = 0, size = length - at) => this.bytes.slice(offset + at, offset + at + size),
    };
  }

  [Symbol.dispose](): void {
    this.#shared.dispose();
  }
}
