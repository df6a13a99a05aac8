import type { BlockDisk } from '@virtio-platform/device-block';
import { ClientError } from '../client-error.ts';
import { BlockRequest, type BlockOperation } from './block-request.ts';
import { BlockWork } from './block-work.ts';
import { checkCount, checkData } from '../device/check-arguments.ts';
import { fitLoad } from '../device/fit-load.ts';
import { OpenedDevice, type WantedDevice } from '../device/open-device.ts';
import type { ProfileLike, RequestOptions } from '../device/open-options.ts';
import { RequestClient, type RequestClientOptions } from '../requests/request-client.ts';
import { DEFAULT_MAX_QUEUED } from '../requests/request-work.ts';

/** How a disk is opened. */
export interface BlockOptions extends RequestClientOptions {
  /** Requests, or parts of them, that the device has at once. 32 unless given, less in a small guest memory. */
  readonly depth?: number | undefined;
  /**
   * Bytes of the longest part: a multiple of the device's blocks. A longer request is made in parts. 64 KiB unless
   * given.
   */
  readonly partBytes?: number | undefined;
}

/** How zeroes are written. */
export interface WriteZeroesOptions extends RequestOptions {
  /** Lets the device deallocate the range. False unless given. */
  readonly mayUnmap?: boolean | undefined;
}

const WORKLOAD = { kind: 'read', requests: 1, depth: 1, blockSize: '512B' } as const;
const DEPTH = 32;
const PART_BYTES = 0x1_0000;

/**
 * A disk, as {@link openBlock} opens it. Offsets and lengths are bytes, numbers or bigints, and whole blocks. Any
 * number of requests may be called at once: the device has as many as its depth, in any order, and the others wait in
 * order.
 *
 * A promise of a request rejects with `RangeError` or `TypeError` for values that cannot be, with {@link RequestError}
 * where the device answers an error, with the reason of an aborted signal, and with the error of the device where that
 * fails: then the client is closed.
 */
export class BlockClient extends RequestClient<BlockRequest> {
  readonly #disk: BlockDisk;
  readonly #work: BlockWork;

  /** Made by {@link openBlock}. */
  constructor(device: OpenedDevice, disk: BlockDisk, work: BlockWork) {
    super('block', device, work);
    this.#disk = disk;
    this.#work = work;
  }

  /** Bytes of the disk. Follows a resize, of which `change` tells. */
  get capacity(): bigint {
    return BigInt(this.#disk.config.capacity);
  }

  /** Bytes of a block: offsets and lengths are multiples of it. */
  get blockSize(): number {
    return this.#disk.config.blockSize;
  }

  get isReadOnly(): boolean {
    return this.#disk.config.readOnly;
  }

  /** Reads `length` bytes. */
  async read(offset: number | bigint, length: number, options: RequestOptions = {}): Promise<Buffer> {
    const place = this.#check(offset, length);
    if (place.length === 0) return Buffer.alloc(0);
    return await this.#call('read', place, options);
  }

  /** Reads as many bytes as `target` has. The target is written until the promise settles, also where it rejects. */
  async readInto(offset: number | bigint, target: Uint8Array, options: RequestOptions = {}): Promise<void> {
    const data = checkData(target);
    const place = this.#check(offset, data.length);
    if (place.length > 0) await this.#call('read', place, { ...options, data });
  }

  /** Writes all bytes of `source`, which has to stay as it is until the promise settles. */
  async write(offset: number | bigint, source: Uint8Array, options: RequestOptions = {}): Promise<void> {
    const data = checkData(source);
    const place = this.#check(offset, data.length);
    this.#checkWritable();
    if (place.length > 0) await this.#call('write', place, { ...options, data });
  }

  /**
   * Makes all writes that were called before stable. Resolves at once on a disk without FLUSH, whose completed writes
   * are stable.
   */
  async flush(options: RequestOptions = {}): Promise<void> {
    if (this.#disk.config.canFlush) await this.#call('flush', NOWHERE, options);
    else this.#work.checkOpen();
  }

  /** Gives up what is in a range: a read returns anything from then on. */
  async discard(offset: number | bigint, length: number | bigint, options: RequestOptions = {}): Promise<void> {
    await this.#change('discard', this.#disk.config.discard, offset, length, options);
  }

  /** Makes a range read as zeroes. */
  async writeZeroes(offset: number | bigint, length: number | bigint, options: WriteZeroesOptions = {}): Promise<void> {
    await this.#change('writeZeroes', this.#disk.config.writeZeroes, offset, length, options);
  }

  /** Erases a range with all copies of its data. */
  async secureErase(offset: number | bigint, length: number | bigint, options: RequestOptions = {}): Promise<void> {
    await this.#change('secureErase', this.#disk.config.secureErase, offset, length, options);
  }

  /** The identification string of the disk; empty where it has none. */
  async id(options: RequestOptions = {}): Promise<string> {
    const bytes = await this.#call('getId', NOWHERE, options);
    const end = bytes.indexOf(0);
    return bytes.subarray(0, end < 0 ? bytes.length : end).toString('latin1');
  }

  async #change(
    operation: BlockOperation,
    limits: object | undefined,
    offset: number | bigint,
    length: number | bigint,
    options: WriteZeroesOptions,
  ): Promise<void> {
    const place = this.#check(offset, length);
    if (limits === undefined)
      throw new ClientError('ERR_FEATURE_REQUIRED', `${operation} needs a feature that was not negotiated`, {
        hint: 'use a device that offers it, or leave the request out',
      });
    this.#checkWritable();
    if (place.length > 0) await this.#call(operation, place, options);
  }

  #call(
    operation: BlockOperation,
    { offset, length }: Place,
    { signal, data, mayUnmap = false }: WriteZeroesOptions & { readonly data?: Uint8Array },
  ): Promise<Buffer> {
    const own = data === undefined ? { signal, mayUnmap } : { signal, mayUnmap, data };
    return this.#work.call(new BlockRequest(operation, offset, length, own));
  }

  #checkWritable(): void {
    if (!this.isReadOnly) return;
    throw new ClientError('ERR_DEVICE_READ_ONLY', 'the device is read-only (BLK_RO, virtio 1.4 §5.2.5)', {
      hint: 'make the disk writable',
    });
  }

  /** Checks that a range is one of whole blocks on the disk. */
  #check(offset: number | bigint, length: number | bigint): Place {
    const { capacity, blockSize } = this.#disk.config;
    const [at, bytes] = [countOf('offset', offset), countOf('length', length)];
    if (at % blockSize !== 0 || bytes % blockSize !== 0)
      throw new RangeError(`${bytes} bytes at ${at} are no whole blocks of ${blockSize} bytes`);
    if (at + bytes > capacity) throw new RangeError(`${bytes} bytes at ${at} of a disk of ${capacity} bytes`);
    return { offset: at, length: bytes };
  }
}

/** Bytes from the start of the disk, and bytes. */
interface Place {
  readonly offset: number;
  readonly length: number;
}

const NOWHERE: Place = { offset: 0, length: 0 };

/**
 * Opens the disk of a profile. Rejects with a coded error; then nothing stays. It keeps the process alive until it is
 * closed, as a socket does: `unref` lets the process end.
 */
export async function openBlock(profile: ProfileLike, options: BlockOptions = {}): Promise<BlockClient> {
  const { depth, partBytes, maxQueued } = options;
  checkCount('depth', depth);
  checkCount('partBytes', partBytes);
  checkCount('maxQueued', maxQueued);
  const load: WantedDevice['load'] = (queueSizes, memoryBytes) => {
    const entries = queueSizes.reduce((sum, size) => sum + size, 0);
    return fitLoad({ depth, bytes: partBytes, usualDepth: DEPTH, usualBytes: PART_BYTES }, entries, memoryBytes);
  };
  const wanted = { name: 'block', id: 2, workload: WORKLOAD, load };
  const device = await OpenedDevice.open(profile, wanted, options);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the driver half of the type that was asked for
  const disk = device.driver as BlockDisk;
  return new BlockClient(device, disk, new BlockWork(disk, device.context.notify, maxQueued ?? DEFAULT_MAX_QUEUED));
}

function countOf(name: string, value: unknown): number {
  if (typeof value !== 'number' && typeof value !== 'bigint')
    throw new TypeError(`${name} is ${typeof value}, not a number or bigint`);
  const count = Number(value);
  if (Number.isSafeInteger(count) && count >= 0) return count;
  throw new RangeError(`${name} ${value} is no whole number from 0 to 2^53 - 1`);
}
