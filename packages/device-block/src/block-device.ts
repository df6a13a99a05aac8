import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import type { DeviceEvents, DeviceModel, DeviceQueues } from '@virtio-platform/core';
import { FeatureSet, VIRTIO_F_ANY_LAYOUT, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import type { ByteOrder, DescriptorChain } from '@virtio-platform/core/queue';
import { ConfigSpace, isBackingError, readChain, writeChain } from '@virtio-platform/device-kit';
import {
  VIRTIO_BLK_F_BLK_SIZE,
  VIRTIO_BLK_F_FLUSH,
  VIRTIO_BLK_F_MQ,
  VIRTIO_BLK_F_RO,
  VIRTIO_BLK_F_SEG_MAX,
} from './block-features.ts';
import { BLOCK_CONFIG } from './block-config.ts';
import type { BlockBacking } from './block-backing.ts';
import {
  BLOCK_HEADER_SIZE,
  BLOCK_ID_SIZE,
  SECTOR_SIZE,
  VIRTIO_BLK_S_IOERR,
  VIRTIO_BLK_S_OK,
  VIRTIO_BLK_S_UNSUPP,
  VIRTIO_BLK_T_FLUSH,
  VIRTIO_BLK_T_GET_ID,
  VIRTIO_BLK_T_IN,
  VIRTIO_BLK_T_OUT,
} from './layout.ts';

/** A disk that gets another size while it is used. */
export interface BlockResize {
  /** The number of handled requests after which it happens. */
  readonly after: number;
  /** Bytes; a multiple of 512. */
  readonly capacity: number;
}

/** The settings of the block device half. */
export interface BlockDeviceOptions {
  readonly readOnly: boolean;
  /** At most 20 bytes of ASCII. */
  readonly serial: string;
  /** Request queues, of which a driver without MQ uses the first. */
  readonly queues: number;
  /** Largest size of each, in entries. */
  readonly queueSize: number;
  /** When the disk gets another capacity. None unless given. */
  readonly resizes?: readonly BlockResize[];
  /** Of configuration and request headers: the guest's own on the legacy interface. */
  readonly byteOrder: ByteOrder;
}

/** How much of a request is copied at once. */
const SCRATCH_SIZE = 0x1_0000;
/**
 * Longest data of one request in bytes; a longer one fails with IOERR. A chain may have 4 GiB also in a small guest,
 * and the device does nothing else while it copies them.
 */
const LONGEST_REQUEST = 0x1000_0000;

/**
 * The device half of a block device (specification 1.4 section 5.2): read, write, flush, get-id. All its queues are one
 * disk. Accepts any framing of a request, but from a legacy driver without ANY_LAYOUT only header and status in
 * descriptors of their own (section 2.7.4.3).
 *
 * A write of which part cannot be read from memory fails with IOERR, and the disk stays as it was. A request that the
 * backing fails also fails with IOERR and is reported; of such a write the disk may have any part.
 */
export class BlockDevice implements DeviceModel {
  readonly features: FeatureSet;
  readonly queueSizes: readonly number[];
  readonly config: Uint8Array;
  readonly #config: ConfigSpace;
  readonly #backing: BlockBacking;
  readonly #options: BlockDeviceOptions;
  readonly #littleEndian: boolean;
  #needsFraming = false;
  readonly #identity: Uint8Array = new Uint8Array(BLOCK_ID_SIZE);
  readonly #header: Uint8Array = new Uint8Array(BLOCK_HEADER_SIZE);
  readonly #headerView: DataView = new DataView(this.#header.buffer);
  readonly #status: Uint8Array = new Uint8Array(1);
  readonly #scratch: Uint8Array = new Uint8Array(SCRATCH_SIZE);
  readonly #resizes: readonly BlockResize[];
  #resized = 0;
  #handled = 0;
  #events: DeviceEvents | undefined;
  /** Bytes of data that were written to the request being handled, from its first one on. */
  #written = 0;

  /** Owns `backing`. */
  constructor(backing: BlockBacking, options: BlockDeviceOptions) {
    this.#backing = backing;
    this.#options = options;
    this.#littleEndian = options.byteOrder === 'little';
    const always = FeatureSet.of(VIRTIO_BLK_F_SEG_MAX, VIRTIO_BLK_F_BLK_SIZE, VIRTIO_BLK_F_FLUSH);
    const single = options.readOnly ? always.with(VIRTIO_BLK_F_RO) : always;
    this.features = options.queues > 1 ? single.with(VIRTIO_BLK_F_MQ) : single;
    this.queueSizes = Array.from({ length: options.queues }, () => options.queueSize);
    this.#config = new ConfigSpace(BLOCK_CONFIG, options.byteOrder);
    this.config = this.#config.bytes;
    this.#config.set(BLOCK_CONFIG.capacity, backing.capacity / SECTOR_SIZE);
    this.#config.set(BLOCK_CONFIG.seg_max, Math.max(1, options.queueSize - 2));
    this.#config.set(BLOCK_CONFIG.blk_size, SECTOR_SIZE);
    this.#config.set(BLOCK_CONFIG.num_queues, options.queues);
    this.#resizes = (options.resizes ?? []).toSorted((a, b) => a.after - b.after);
    this.#identity.set(new TextEncoder().encode(options.serial).subarray(0, BLOCK_ID_SIZE));
  }

  connect(events: DeviceEvents): void {
    this.#events = events;
  }

  start(accepted: FeatureSet): void {
    this.#needsFraming = !accepted.has(VIRTIO_F_VERSION_1) && !accepted.has(VIRTIO_F_ANY_LAYOUT);
  }

  /** It keeps no buffers. */
  forget(_queue: number): void {}

  /** Every request is answered at once. */
  wants(_queue: number): boolean {
    return true;
  }

  process(queue: number, chain: DescriptorChain, space: DeviceAddressSpace, queues: DeviceQueues): number {
    this.#handled++;
    if (this.#resized < this.#resizes.length) this.#resizeWhenDue(queue, queues);
    if (chain.writableBytes === 0) return 0;
    this.#written = 0;
    const ok =
      chain.readableBytes >= BLOCK_HEADER_SIZE &&
      (!this.#needsFraming || isFramed(chain)) &&
      readChain(chain, space, 0, this.#header, 0, BLOCK_HEADER_SIZE);
    this.#status[0] = ok ? this.#answer(queue, chain, space, queues) : VIRTIO_BLK_S_IOERR;
    const isTold = writeChain(chain, space, chain.writableBytes - 1, this.#status, 0, 1);
    // The status is behind the data: it counts where there is no gap between them.
    return isTold && this.#written === chain.writableBytes - 1 ? chain.writableBytes : this.#written;
  }

  dispose(): void {
    this.#backing.dispose();
  }

  /**
   * Resizes before the request is handled that follows `after` others. A disk whose backing cannot be resized stays as
   * it is.
   */
  #resizeWhenDue(queue: number, queues: DeviceQueues): void {
    const { after, capacity } = this.#resizes[this.#resized]!;
    if (this.#handled <= after) return;
    this.#resized++;
    try {
      this.#backing.resize(capacity);
    } catch (error) {
      if (!isBackingError(error)) throw error;
      queues.report(queue, error);
      return;
    }
    this.#config.set(BLOCK_CONFIG.capacity, capacity / SECTOR_SIZE);
    this.#events?.configChanged();
  }

  /** Handles a request and returns its status: also where the backing throws. */
  #answer(queue: number, chain: DescriptorChain, space: DeviceAddressSpace, queues: DeviceQueues): number {
    try {
      return this.#execute(chain, space);
    } catch (error) {
      if (!isBackingError(error)) throw error;
      queues.report(queue, error);
      return VIRTIO_BLK_S_IOERR;
    }
  }

  #execute(chain: DescriptorChain, space: DeviceAddressSpace): number {
    const type = this.#headerView.getUint32(0, this.#littleEndian);
    const low = this.#headerView.getUint32(this.#littleEndian ? 8 : 12, this.#littleEndian);
    const high = this.#headerView.getUint32(this.#littleEndian ? 12 : 8, this.#littleEndian);
    const offset = (high * 0x1_0000_0000 + low) * SECTOR_SIZE;
    const dataIn = chain.writableBytes - 1;
    const dataOut = chain.readableBytes - BLOCK_HEADER_SIZE;
    switch (type) {
      case VIRTIO_BLK_T_IN:
        return this.#inRange(offset, dataIn) ? this.#readBlocks(chain, space, offset, dataIn) : VIRTIO_BLK_S_IOERR;
      case VIRTIO_BLK_T_OUT:
        if (this.#options.readOnly || !this.#inRange(offset, dataOut)) return VIRTIO_BLK_S_IOERR;
        return this.#writeBlocks(chain, space, offset, dataOut);
      case VIRTIO_BLK_T_FLUSH:
        this.#backing.flush();
        return VIRTIO_BLK_S_OK;
      case VIRTIO_BLK_T_GET_ID:
        if (dataIn < BLOCK_ID_SIZE) return VIRTIO_BLK_S_IOERR;
        if (!writeChain(chain, space, 0, this.#identity, 0, BLOCK_ID_SIZE)) return VIRTIO_BLK_S_IOERR;
        this.#written = BLOCK_ID_SIZE;
        return VIRTIO_BLK_S_OK;
      default:
        return VIRTIO_BLK_S_UNSUPP;
    }
  }

  #inRange(offset: number, length: number): boolean {
    const isWhole = length % SECTOR_SIZE === 0 && length <= LONGEST_REQUEST;
    return isWhole && offset + length <= this.#backing.capacity;
  }

  #readBlocks(chain: DescriptorChain, space: DeviceAddressSpace, offset: number, length: number): number {
    for (let done = 0; done < length;) {
      const run = Math.min(length - done, SCRATCH_SIZE);
      this.#backing.read(offset + done, this.#scratch, 0, run);
      if (!writeChain(chain, space, done, this.#scratch, 0, run)) return VIRTIO_BLK_S_IOERR;
      done += run;
      this.#written = done;
    }
    return VIRTIO_BLK_S_OK;
  }

  #writeBlocks(chain: DescriptorChain, space: DeviceAddressSpace, offset: number, length: number): number {
    if (length > SCRATCH_SIZE && !this.#isReadable(chain, space, length)) return VIRTIO_BLK_S_IOERR;
    for (let done = 0; done < length;) {
      const run = Math.min(length - done, SCRATCH_SIZE);
      if (!readChain(chain, space, BLOCK_HEADER_SIZE + done, this.#scratch, 0, run)) return VIRTIO_BLK_S_IOERR;
      this.#backing.write(offset + done, this.#scratch, 0, run);
      done += run;
    }
    return VIRTIO_BLK_S_OK;
  }

  /** Whether all data of a write can be read: before the first of several parts changes the disk. */
  #isReadable(chain: DescriptorChain, space: DeviceAddressSpace, length: number): boolean {
    for (let done = 0; done < length;) {
      const run = Math.min(length - done, SCRATCH_SIZE);
      if (!readChain(chain, space, BLOCK_HEADER_SIZE + done, this.#scratch, 0, run)) return false;
      done += run;
    }
    return true;
  }
}

/** Whether the header has the first descriptor to itself, and the status the last. */
function isFramed({ length, count }: DescriptorChain): boolean {
  return length[0] === BLOCK_HEADER_SIZE && length[count - 1] === 1;
}
