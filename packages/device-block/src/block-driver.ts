import { DeviceError } from '@virtio-platform/core';
import { copyBytes } from '@virtio-platform/core/address-space';
import { FeatureSet } from '@virtio-platform/core/features';
import { NO_BUFFER } from '@virtio-platform/device-kit';
import * as feature from './block-features.ts';
import { BlockSlots } from './slots/block-slots.ts';
import * as wire from './layout.ts';

/** What this driver understands of the block device type. */
export const BLOCK_DRIVER_FEATURES: FeatureSet = FeatureSet.of(
  feature.VIRTIO_BLK_F_SIZE_MAX,
  feature.VIRTIO_BLK_F_SEG_MAX,
  feature.VIRTIO_BLK_F_RO,
  feature.VIRTIO_BLK_F_BLK_SIZE,
  feature.VIRTIO_BLK_F_FLUSH,
  feature.VIRTIO_BLK_F_CONFIG_WCE,
  feature.VIRTIO_BLK_F_GEOMETRY,
  feature.VIRTIO_BLK_F_TOPOLOGY,
  feature.VIRTIO_BLK_F_MQ,
  feature.VIRTIO_BLK_F_DISCARD,
  feature.VIRTIO_BLK_F_WRITE_ZEROES,
  feature.VIRTIO_BLK_F_LIFETIME,
  feature.VIRTIO_BLK_F_SECURE_ERASE,
);

/** The features that range requests need, by type. */
const RANGE_FEATURES: Readonly<Record<number, string>> = {
  [wire.VIRTIO_BLK_T_DISCARD]: 'DISCARD',
  [wire.VIRTIO_BLK_T_WRITE_ZEROES]: 'WRITE_ZEROES',
  [wire.VIRTIO_BLK_T_SECURE_ERASE]: 'SECURE_ERASE',
};

/**
 * The driver half of a block device on one queue. Each kind of request is a method that returns the id of the request,
 * which is its slot, or a negative reason; then `publish`, `poll` until the id comes back, and `give` it once its data
 * was used. The methods refuse what a driver must not send; `submit` sends it.
 */
export class BlockDriver extends BlockSlots {
  /**
   * Reads `length` bytes at byte `offset` of the disk, whole blocks, at most {@link maxBytes}. Returns the id of the
   * request, with whose end `data(id)` has the bytes, or a negative reason: `NO_BUFFER` where {@link depth} requests
   * are in flight, `QUEUE_FULL`, `DMA_NO_SPACE`, …; retry after the next completion. Throws `RangeError` for another
   * range.
   */
  read(offset: number, length: number): number {
    this.#checkData(offset, length);
    const id = this.take();
    return id < 0
      ? NO_BUFFER
      : this.#made(id, this.submit(id, wire.VIRTIO_BLK_T_IN, offset / wire.SECTOR_SIZE, length));
  }

  /**
   * Writes all bytes of `source`, which are copied before it returns; otherwise as {@link read}. Throws
   * {@link DeviceError} `ERR_DEVICE_READ_ONLY`.
   */
  write(offset: number, source: Uint8Array): number {
    this.#checkData(offset, source.length);
    this.#checkWritable();
    const id = this.take();
    if (id < 0) return NO_BUFFER;
    copyBytes(this.memory.u8, this.dataAddress(id), source, 0, source.length);
    return this.#made(id, this.submit(id, wire.VIRTIO_BLK_T_OUT, offset / wire.SECTOR_SIZE, source.length));
  }

  /**
   * Makes all completed writes stable. A disk without write-back cache (`config.isWriteBack`) needs none, and Linux
   * sends none there. Returns as {@link read}. Throws {@link DeviceError} `ERR_FEATURE_REQUIRED` without FLUSH.
   */
  flush(): number {
    this.#require(this.config.canFlush, 'FLUSH');
    return this.#ask(wire.VIRTIO_BLK_T_FLUSH);
  }

  /**
   * Gives up what is in a range of any length: reads return anything from then on. Returns and throws as {@link write},
   * and throws `ERR_FEATURE_REQUIRED` without DISCARD.
   */
  discard(offset: number, length: number): number {
    return this.#change(wire.VIRTIO_BLK_T_DISCARD, offset, length, 0);
  }

  /**
   * Makes a range of any length read as zeroes; `mayUnmap` lets the device deallocate it. Returns and throws as
   * {@link write}, and throws `ERR_FEATURE_REQUIRED` without WRITE_ZEROES.
   */
  writeZeroes(offset: number, length: number, mayUnmap = false): number {
    return this.#change(
      wire.VIRTIO_BLK_T_WRITE_ZEROES,
      offset,
      length,
      mayUnmap ? wire.VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0,
    );
  }

  /**
   * Erases a range of any length, with all copies of its data. Returns and throws as {@link write}, and throws
   * `ERR_FEATURE_REQUIRED` without SECURE_ERASE.
   */
  secureErase(offset: number, length: number): number {
    return this.#change(wire.VIRTIO_BLK_T_SECURE_ERASE, offset, length, 0);
  }

  /** Asks for the identification string, 20 bytes of `data(id)` padded with NUL. Returns as {@link read}. */
  getId(): number {
    return this.#ask(wire.VIRTIO_BLK_T_GET_ID);
  }

  /**
   * Asks for the lifetime, 6 bytes of `data(id)`. Returns as {@link read}. Throws {@link DeviceError}
   * `ERR_FEATURE_REQUIRED` without LIFETIME.
   */
  getLifetime(): number {
    this.#require(this.config.hasLifetime, 'LIFETIME');
    return this.#ask(wire.VIRTIO_BLK_T_GET_LIFETIME);
  }

  /** A range request that a program makes. */
  #change(type: number, offset: number, length: number, flags: number): number {
    this.#require(this.limitsOf(type) !== undefined, RANGE_FEATURES[type]!);
    this.#checkRange(offset, length);
    this.#checkWritable();
    const id = this.take();
    if (id < 0) return NO_BUFFER;
    this.setRange(id, 0, offset / wire.SECTOR_SIZE, length / wire.SECTOR_SIZE);
    return this.#made(id, this.submitRanges(id, type, 1, flags));
  }

  /** A request without a place on the disk. */
  #ask(type: number): number {
    const id = this.take();
    return id < 0 ? NO_BUFFER : this.#made(id, this.submit(id, type, 0, 0));
  }

  /** The id of a request that was submitted, or the reason why it was not. */
  #made(id: number, reason: number): number {
    if (reason === 0) return id;
    this.give(id);
    return reason;
  }

  #require(isThere: boolean, feature: string): void {
    if (isThere) return;
    throw new DeviceError('ERR_FEATURE_REQUIRED', `the request needs BLK_${feature}, which was not negotiated`, {
      hint: 'use a device that offers it, or leave the request out',
    });
  }

  #checkWritable(): void {
    if (!this.config.readOnly) return;
    throw new DeviceError('ERR_DEVICE_READ_ONLY', 'the device is read-only (BLK_RO, virtio 1.4 §5.2.5)', {
      hint: 'make the disk writable',
    });
  }

  #checkData(offset: number, length: number): void {
    this.#checkRange(offset, length);
    if (length <= this.maxBytes) return;
    throw new RangeError(`a request of ${length} bytes; the driver was made for ${this.maxBytes}`);
  }

  #checkRange(offset: number, length: number): void {
    const { blockSize } = this.config;
    const isRange = Number.isSafeInteger(offset) && offset >= 0 && Number.isSafeInteger(offset + length) && length > 0;
    if (isRange && offset % blockSize === 0 && length % blockSize === 0) return;
    throw new RangeError(`${length} bytes at ${offset} are no blocks of ${blockSize} bytes`);
  }
}
