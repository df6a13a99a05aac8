import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { DescriptorChain } from '@virtio-platform/core/queue';
import { readChain, writeChain } from '@virtio-platform/device-kit';

/** Bytes of a CDB at most: of `cdb_size`. */
export const LONGEST_CDB = 255;

const NO_CHAIN = new DescriptorChain(1);

/**
 * The buffers of one command as its disk sees them: the CDB, data that it reads, data that it writes, and how much of
 * both it moved. Reused with the next command. Hot: no allocation.
 */
export class CommandBuffers {
  /** Zero behind the bytes that the driver wrote. */
  readonly cdb: Uint8Array = new Uint8Array(LONGEST_CDB);
  /** Bytes of data that the device may read, and that it may write. */
  dataOut = 0;
  dataIn = 0;
  /** Bytes that were read and written for good. */
  transferred = 0;
  /** Bytes of data-in that were written, from the first one on. */
  writtenInFront = 0;
  #chain: DescriptorChain = NO_CHAIN;
  #space!: DeviceAddressSpace;
  #outAt = 0;
  #inAt = 0;

  /** Takes the buffers of a chain, whose data starts behind a request of `outAt` bytes and a response of `inAt`. */
  begin(chain: DescriptorChain, space: DeviceAddressSpace, outAt: number, inAt: number): void {
    this.#chain = chain;
    this.#space = space;
    this.#outAt = outAt;
    this.#inAt = inAt;
    this.dataOut = chain.readableBytes - outAt;
    this.dataIn = chain.writableBytes - inAt;
    this.transferred = 0;
    this.writtenInFront = 0;
  }

  /** Reads data-out from its byte `offset` on. Returns false after a fault. */
  read(offset: number, target: Uint8Array, at: number, length: number): boolean {
    return readChain(this.#chain, this.#space, this.#outAt + offset, target, at, length);
  }

  /** Writes data-in from its byte `offset` on, of which it counts what is in front. Returns false after a fault. */
  write(offset: number, source: Uint8Array, at: number, length: number): boolean {
    if (!writeChain(this.#chain, this.#space, this.#inAt + offset, source, at, length)) return false;
    if (offset === this.writtenInFront) this.writtenInFront += length;
    this.transferred += length;
    return true;
  }
}
