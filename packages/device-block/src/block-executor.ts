import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { FeatureSet, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import type { ByteOrder, DescriptorChain } from '@virtio-platform/core/queue';
import { readChain, writeChain, type BlockBacking } from '@virtio-platform/device-kit';
import {
  VIRTIO_BLK_F_BLK_SIZE,
  VIRTIO_BLK_F_DISCARD,
  VIRTIO_BLK_F_LIFETIME,
  VIRTIO_BLK_F_SECURE_ERASE,
  VIRTIO_BLK_F_WRITE_ZEROES,
} from './block-features.ts';
import * as wire from './layout.ts';

/** What a device half takes in one discard, write zeroes or secure erase. */
export interface TakenRanges {
  /** Sectors of each range. */
  readonly maxSectors: number;
  /** Ranges of a request. */
  readonly maxSegments: number;
}

/** What a block executor answers with. */
export interface BlockExecutorOptions {
  readonly readOnly: boolean;
  /** Bytes. */
  readonly blockSize: number;
  /** The answers to GET_ID and GET_LIFETIME. */
  readonly identity: Uint8Array;
  readonly lifetime: Uint8Array;
  /** By request type. */
  readonly ranges: ReadonlyMap<number, TakenRanges>;
  readonly byteOrder: ByteOrder;
}

/** How much of a request is copied at once. */
const SCRATCH_SIZE = 0x1_0000;
/**
 * Longest data of one request in bytes; a longer one fails with IOERR. A chain may have 4 GiB also in a small guest,
 * and the device does nothing else while it copies them.
 */
export const LONGEST_REQUEST = 0x1000_0000;
/** Most ranges of a request. */
export const MOST_TAKEN_RANGES = 256;

/**
 * Executes the requests of a block device on a backing (specification 1.4 section 5.2.6). Throws what the backing
 * throws. Hot: no allocation per request.
 */
export class BlockExecutor {
  /** Bytes of data that were written to the request that was executed last, from its first one on. */
  written = 0;
  /** Whether a write is stable once it is completed: the executor flushes the backing after each. */
  isWriteThrough = false;
  readonly #backing: BlockBacking;
  readonly #options: BlockExecutorOptions;
  readonly #littleEndian: boolean;
  #accepted: FeatureSet = FeatureSet.EMPTY;
  #blockSize: number = wire.SECTOR_SIZE;
  readonly #header: Uint8Array = new Uint8Array(wire.BLOCK_HEADER_SIZE);
  readonly #headerView: DataView = new DataView(this.#header.buffer);
  readonly #ranges: Uint8Array = new Uint8Array(MOST_TAKEN_RANGES * wire.BLOCK_RANGE_SIZE);
  readonly #rangesView: DataView = new DataView(this.#ranges.buffer);
  readonly #scratch: Uint8Array = new Uint8Array(SCRATCH_SIZE);

  constructor(backing: BlockBacking, options: BlockExecutorOptions) {
    this.#backing = backing;
    this.#options = options;
    this.#littleEndian = options.byteOrder === 'little';
  }

  /** Features were negotiated. A driver that was not told the block size may ask for any sectors. */
  start(accepted: FeatureSet): void {
    this.#accepted = accepted;
    this.#blockSize = accepted.has(VIRTIO_BLK_F_BLK_SIZE) ? this.#options.blockSize : wire.SECTOR_SIZE;
  }

  /** Executes a request and returns its status, which is not written. Hot. */
  execute(chain: DescriptorChain, space: DeviceAddressSpace): number {
    this.written = 0;
    if (!readChain(chain, space, 0, this.#header, 0, wire.BLOCK_HEADER_SIZE)) return wire.VIRTIO_BLK_S_IOERR;
    const type = this.#headerView.getUint32(0, this.#littleEndian);
    switch (type) {
      case wire.VIRTIO_BLK_T_IN:
        return this.#read(chain, space, this.#get64(this.#headerView, 8) * wire.SECTOR_SIZE);
      case wire.VIRTIO_BLK_T_OUT:
        return this.#write(chain, space, this.#get64(this.#headerView, 8) * wire.SECTOR_SIZE);
      case wire.VIRTIO_BLK_T_FLUSH:
        return this.#flush();
      case wire.VIRTIO_BLK_T_FLUSH_OUT:
        return this.#accepted.has(VIRTIO_F_VERSION_1) ? wire.VIRTIO_BLK_S_UNSUPP : this.#flush();
      case wire.VIRTIO_BLK_T_GET_ID:
        return this.#tell(chain, space, this.#options.identity, wire.BLOCK_ID_SIZE);
      case wire.VIRTIO_BLK_T_GET_LIFETIME:
        if (!this.#accepted.has(VIRTIO_BLK_F_LIFETIME)) return wire.VIRTIO_BLK_S_UNSUPP;
        return this.#tell(chain, space, this.#options.lifetime, wire.BLOCK_LIFETIME_SIZE);
      case wire.VIRTIO_BLK_T_DISCARD:
        return this.#changeRanges(chain, space, type, VIRTIO_BLK_F_DISCARD);
      case wire.VIRTIO_BLK_T_WRITE_ZEROES:
        return this.#changeRanges(chain, space, type, VIRTIO_BLK_F_WRITE_ZEROES);
      case wire.VIRTIO_BLK_T_SECURE_ERASE:
        return this.#changeRanges(chain, space, type, VIRTIO_BLK_F_SECURE_ERASE);
      default:
        return wire.VIRTIO_BLK_S_UNSUPP;
    }
  }

  #flush(): number {
    this.#backing.flush();
    return wire.VIRTIO_BLK_S_OK;
  }

  #tell(chain: DescriptorChain, space: DeviceAddressSpace, bytes: Uint8Array, length: number): number {
    if (chain.writableBytes - 1 < length) return wire.VIRTIO_BLK_S_IOERR;
    if (!writeChain(chain, space, 0, bytes, 0, length)) return wire.VIRTIO_BLK_S_IOERR;
    this.written = length;
    return wire.VIRTIO_BLK_S_OK;
  }

  #inRange(offset: number, length: number): boolean {
    const isWhole = offset % this.#blockSize === 0 && length % this.#blockSize === 0;
    return isWhole && offset + length <= this.#backing.capacity;
  }

  #read(chain: DescriptorChain, space: DeviceAddressSpace, offset: number): number {
    const length = chain.writableBytes - 1;
    if (length > LONGEST_REQUEST || !this.#inRange(offset, length)) return wire.VIRTIO_BLK_S_IOERR;
    for (let done = 0; done < length;) {
      const run = Math.min(length - done, SCRATCH_SIZE);
      this.#backing.read(offset + done, this.#scratch, 0, run);
      if (!writeChain(chain, space, done, this.#scratch, 0, run)) return wire.VIRTIO_BLK_S_IOERR;
      done += run;
      this.written = done;
    }
    return wire.VIRTIO_BLK_S_OK;
  }

  #write(chain: DescriptorChain, space: DeviceAddressSpace, offset: number): number {
    const length = chain.readableBytes - wire.BLOCK_HEADER_SIZE;
    if (this.#options.readOnly || length > LONGEST_REQUEST || !this.#inRange(offset, length))
      return wire.VIRTIO_BLK_S_IOERR;
    if (length > SCRATCH_SIZE && !this.#isReadable(chain, space, length)) return wire.VIRTIO_BLK_S_IOERR;
    for (let done = 0; done < length;) {
      const run = Math.min(length - done, SCRATCH_SIZE);
      if (!readChain(chain, space, wire.BLOCK_HEADER_SIZE + done, this.#scratch, 0, run))
        return wire.VIRTIO_BLK_S_IOERR;
      this.#backing.write(offset + done, this.#scratch, 0, run);
      done += run;
    }
    if (this.isWriteThrough) this.#backing.flush();
    return wire.VIRTIO_BLK_S_OK;
  }

  /** Whether all data of a write can be read: before the first of several parts changes the disk. */
  #isReadable(chain: DescriptorChain, space: DeviceAddressSpace, length: number): boolean {
    for (let done = 0; done < length;) {
      const run = Math.min(length - done, SCRATCH_SIZE);
      if (!readChain(chain, space, wire.BLOCK_HEADER_SIZE + done, this.#scratch, 0, run)) return false;
      done += run;
    }
    return true;
  }

  /**
   * A discard, write zeroes or secure erase: nothing is changed unless all ranges are right. More ranges than the
   * device takes are unsupported, as in QEMU.
   */
  #changeRanges(chain: DescriptorChain, space: DeviceAddressSpace, type: number, feature: number): number {
    const limits = this.#options.ranges.get(type);
    if (limits === undefined || !this.#accepted.has(feature)) return wire.VIRTIO_BLK_S_UNSUPP;
    const length = chain.readableBytes - wire.BLOCK_HEADER_SIZE;
    if (length === 0 || length % wire.BLOCK_RANGE_SIZE !== 0) return wire.VIRTIO_BLK_S_IOERR;
    const count = length / wire.BLOCK_RANGE_SIZE;
    if (count > limits.maxSegments) return wire.VIRTIO_BLK_S_UNSUPP;
    if (!readChain(chain, space, wire.BLOCK_HEADER_SIZE, this.#ranges, 0, length)) return wire.VIRTIO_BLK_S_IOERR;
    const known = type === wire.VIRTIO_BLK_T_WRITE_ZEROES ? wire.VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0;
    for (let i = 0; i < count; i++) if ((this.#flagsOf(i) & ~known) !== 0) return wire.VIRTIO_BLK_S_UNSUPP;
    if (this.#options.readOnly) return wire.VIRTIO_BLK_S_IOERR;
    for (let i = 0; i < count; i++) {
      if (this.#lengthOf(i) > limits.maxSectors * wire.SECTOR_SIZE) return wire.VIRTIO_BLK_S_IOERR;
      if (!this.#inRange(this.#offsetOf(i), this.#lengthOf(i))) return wire.VIRTIO_BLK_S_IOERR;
    }
    for (let i = 0; i < count; i++) this.#changeRange(type, this.#offsetOf(i), this.#lengthOf(i), this.#flagsOf(i));
    if (this.isWriteThrough) this.#backing.flush();
    return wire.VIRTIO_BLK_S_OK;
  }

  #changeRange(type: number, offset: number, length: number, flags: number): void {
    if (type === wire.VIRTIO_BLK_T_DISCARD) this.#backing.discard(offset, length);
    else this.#backing.writeZeroes(offset, length, type === wire.VIRTIO_BLK_T_SECURE_ERASE || flags !== 0);
  }

  /** Of the range that was read as number `index`: bytes. */
  #offsetOf(index: number): number {
    return this.#get64(this.#rangesView, index * wire.BLOCK_RANGE_SIZE) * wire.SECTOR_SIZE;
  }

  #lengthOf(index: number): number {
    return this.#rangesView.getUint32(index * wire.BLOCK_RANGE_SIZE + 8, this.#littleEndian) * wire.SECTOR_SIZE;
  }

  #flagsOf(index: number): number {
    return this.#rangesView.getUint32(index * wire.BLOCK_RANGE_SIZE + 12, this.#littleEndian);
  }

  #get64(view: DataView, at: number): number {
    const low = view.getUint32(this.#littleEndian ? at : at + 4, this.#littleEndian);
    return view.getUint32(this.#littleEndian ? at + 4 : at, this.#littleEndian) * 0x1_0000_0000 + low;
  }
}
