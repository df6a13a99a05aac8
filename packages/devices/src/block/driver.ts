import { CACHE_LINE_SIZE, DmaDirection, type DmaMapping, type DmaRegion } from '@virtio-platform/core/dma';
import {
  FeatureSet,
  VIRTIO_BLK_F_BLK_SIZE,
  VIRTIO_BLK_F_FLUSH,
  VIRTIO_BLK_F_MQ,
  VIRTIO_BLK_F_RO,
  VIRTIO_BLK_F_SEG_MAX,
  VIRTIO_BLK_F_SIZE_MAX,
} from '@virtio-platform/core/features';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { ScatterList, UsedBatch, type ByteOrder, type Virtqueue } from '@virtio-platform/core/queue';
import { openBufferArea, type BufferArea, type BufferMapping } from '../buffer-mapping.ts';
import { checkQueueSize } from '../check-queue-size.ts';
import type { BlockConfig } from './config.ts';
import {
  BLOCK_HEADER_SIZE,
  BLOCK_ID_SIZE,
  SECTOR_SIZE,
  VIRTIO_BLK_S_IOERR,
  VIRTIO_BLK_T_GET_ID,
  VIRTIO_BLK_T_IN,
  VIRTIO_BLK_T_OUT,
} from './layout.ts';

/** What this driver understands of the block device type. */
export const BLOCK_DRIVER_FEATURES: FeatureSet = FeatureSet.of(
  VIRTIO_BLK_F_SIZE_MAX,
  VIRTIO_BLK_F_SEG_MAX,
  VIRTIO_BLK_F_RO,
  VIRTIO_BLK_F_BLK_SIZE,
  VIRTIO_BLK_F_FLUSH,
  VIRTIO_BLK_F_MQ,
);

/** The settings of the block driver half. */
export interface BlockDriverOptions {
  /** Requests in flight at once. */
  readonly depth: number;
  /** Longest request in bytes; a multiple of 512. */
  readonly maxBytes: number;
  readonly buffers: BufferMapping;
  /** Of request headers: the guest's own on the legacy interface. */
  readonly byteOrder: ByteOrder;
}

/** From one status to the next: the device writes each. */
const STATUS_STRIDE = CACHE_LINE_SIZE;

/** The status byte of a request before the device writes it; no status has this value. */
export const NO_STATUS = 0xff;

/**
 * The driver half of a block device (specification 1.4 section 5.2). Works in slots: `take` one, fill its data,
 * `submit` it, `publish`, and `poll` until it comes back. Header, data and status of a slot are buffers of their own,
 * so that every framing rule is met and each has the narrowest direction. Hot: no allocation per request.
 */
export class BlockDriver {
  readonly depth: number;
  readonly maxBytes: number;
  readonly #memory: GuestMemory;
  readonly #queue: Virtqueue;
  readonly #littleEndian: boolean;
  readonly #list: ScatterList;
  readonly #batch: UsedBatch;
  readonly #segment: number;
  readonly #headers: BufferArea;
  readonly #statuses: BufferArea;
  readonly #data: BufferArea;
  #slotOf: Uint16Array;
  readonly #type: Uint32Array;
  readonly #length: Uint32Array;
  readonly #free: Uint16Array;
  #freeCount: number;
  /** Of the last `poll`: slot and status of each request that came back. */
  readonly completedSlots: Uint16Array;
  readonly completedStatus: Uint8Array;
  /** Of the last `poll`: buffer id, used length, and the status byte, {@link NO_STATUS} where the device left it. */
  readonly completedIds: Uint16Array;
  readonly completedLengths: Uint32Array;
  readonly completedBytes: Uint8Array;

  /**
   * Throws {@link DmaError} when there is no memory for the buffers, {@link DeviceError} `ERR_QUEUE_TOO_SMALL`; then
   * nothing stays allocated.
   */
  constructor(
    memory: GuestMemory,
    queue: Virtqueue,
    mapping: DmaMapping,
    config: BlockConfig,
    options: BlockDriverOptions,
  ) {
    const { depth, maxBytes } = options;
    if (!(depth >= 1) || depth > queue.size) throw new RangeError(`depth ${depth} in a queue of ${queue.size}`);
    if (!(maxBytes >= SECTOR_SIZE) || maxBytes % SECTOR_SIZE !== 0)
      throw new RangeError(`requests of ${maxBytes} bytes`);
    this.depth = depth;
    this.maxBytes = maxBytes;
    this.#memory = memory;
    this.#queue = queue;
    this.#littleEndian = options.byteOrder === 'little';
    this.#segment = Math.min(maxBytes, config.sizeMax, mapping.limits.maxMappingSize);
    const segments = Math.ceil(maxBytes / this.#segment);
    if (segments > config.segMax)
      throw new RangeError(
        `requests of ${maxBytes} bytes take ${segments} segments; the device allows ${config.segMax}`,
      );
    checkQueueSize(queue, segments + 2);
    this.#list = new ScatterList(segments + 2);
    this.#batch = new UsedBatch(Math.min(depth, 64));
    this.#slotOf = new Uint16Array(queue.size);
    this.#type = new Uint32Array(depth);
    this.#length = new Uint32Array(depth);
    this.#free = Uint16Array.from({ length: depth }, (_, i) => depth - 1 - i);
    this.#freeCount = depth;
    this.completedSlots = new Uint16Array(this.#batch.capacity);
    this.completedStatus = new Uint8Array(this.#batch.capacity);
    this.completedIds = new Uint16Array(this.#batch.capacity);
    this.completedLengths = new Uint32Array(this.#batch.capacity);
    this.completedBytes = new Uint8Array(this.#batch.capacity);

    const areas: BufferArea[] = [];
    const open = (bytes: number, direction: DmaDirection): BufferArea => {
      const area = openBufferArea(memory, mapping, bytes, direction, options.buffers);
      areas.push(area);
      return area;
    };
    try {
      this.#headers = open(depth * BLOCK_HEADER_SIZE, DmaDirection.ToDevice);
      this.#statuses = open(depth * STATUS_STRIDE, DmaDirection.Bidirectional);
      this.#data = open(depth * maxBytes, DmaDirection.Bidirectional);
    } catch (error) {
      for (const area of areas) area.release();
      throw error;
    }
  }

  /** Requests submitted and not polled back. */
  get inFlight(): number {
    return this.#queue.outstanding;
  }

  /** Takes a slot, or returns -1 when all are in use. */
  take(): number {
    return this.#freeCount === 0 ? -1 : this.#free[--this.#freeCount]!;
  }

  /** Gives back a slot that was taken and is not in flight. */
  give(slot: number): void {
    this.#free[this.#freeCount++] = slot;
  }

  /** The device address of the data of a slot; `undefined` where each request maps its data anew. Cold. */
  dataDeviceAddress(slot: number): bigint | undefined {
    const { region } = this.#data;
    if (region === undefined) return undefined;
    const words = new Uint32Array(2);
    region.writeDeviceAddress(slot * this.maxBytes, words, 0);
    return (BigInt(words[1]!) << 32n) | BigInt(words[0]!);
  }

  /** Where the data of a slot starts in guest memory; {@link maxBytes} long. */
  dataAddress(slot: number): number {
    return this.#data.address + slot * this.maxBytes;
  }

  /**
   * Adds a request: `length` bytes at `sector` for IN and OUT, ignored otherwise. Returns 0, or a negative reason
   * (`QUEUE_FULL`, `DMA_NO_SPACE`, …) with the slot still the caller's: retry after the next completion. Hot.
   */
  submit(slot: number, type: number, sector: number, length: number): number {
    const hasData = type === VIRTIO_BLK_T_IN || type === VIRTIO_BLK_T_OUT;
    const bytes = hasData ? length : type === VIRTIO_BLK_T_GET_ID ? BLOCK_ID_SIZE : 0;
    if (bytes > this.maxBytes)
      throw new RangeError(`a request of ${bytes} bytes; the driver was made for ${this.maxBytes}`);
    const header = this.#headers.address + slot * BLOCK_HEADER_SIZE;
    this.#writeHeader(header, type, sector);
    this.#memory.u8[this.#statuses.address + slot * STATUS_STRIDE] = NO_STATUS;
    const list = this.#list;
    list.clear();
    const isWrite = type === VIRTIO_BLK_T_OUT;
    if (this.#data.region === undefined) this.#describe(slot, header, bytes, isWrite);
    else this.#describePremapped(slot, this.#data.region, bytes, isWrite);
    const head = this.#queue.add(list);
    if (head < 0) return head;
    this.#slotOf[head] = slot;
    this.#type[slot] = type;
    this.#length[slot] = bytes;
    return 0;
  }

  /** Shows submitted requests to the device. Returns whether it wants to be notified. Hot. */
  publish(): boolean {
    return this.#queue.publish();
  }

  /** Takes back requests and returns how many; their slots and status are in the `completed` arrays. Hot. */
  poll(): number {
    const count = this.#queue.takeUsed(this.#batch);
    for (let i = 0; i < count; i++) {
      const slot = this.#slotOf[this.#batch.ids[i]!]!;
      this.completedSlots[i] = slot;
      this.completedIds[i] = this.#batch.ids[i]!;
      this.completedLengths[i] = this.#batch.written[i]!;
      this.#finish(i, slot, this.#batch.written[i]!);
    }
    return count;
  }

  /**
   * The slots of requests that a reset of the queue took back, by the ids that it returned: the caller's again, to be
   * submitted anew or given back. The queue may have another size since: throws {@link DeviceError}
   * `ERR_QUEUE_TOO_SMALL`.
   */
  recover(ids: readonly number[]): number[] {
    checkQueueSize(this.#queue, this.#list.capacity);
    const slots = ids.map((id) => this.#slotOf[id]!);
    this.#slotOf = new Uint16Array(this.#queue.size);
    return slots;
  }

  /** Gives back all buffers. Only after the device confirmed a reset and the queue was reset. */
  dispose(): void {
    for (const area of [this.#headers, this.#statuses, this.#data]) area.release();
  }

  #writeHeader(at: number, type: number, sector: number): void {
    const { view } = this.#memory;
    const littleEndian = this.#littleEndian;
    view.setUint32(at, type, littleEndian);
    view.setUint32(at + 4, 0, littleEndian);
    view.setUint32(at + (littleEndian ? 8 : 12), sector % 0x1_0000_0000, littleEndian);
    view.setUint32(at + (littleEndian ? 12 : 8), Math.floor(sector / 0x1_0000_0000), littleEndian);
  }

  #describe(slot: number, header: number, bytes: number, isWrite: boolean): void {
    const list = this.#list;
    list.addReadable(header, BLOCK_HEADER_SIZE);
    const data = this.dataAddress(slot);
    for (let done = 0; done < bytes; done += this.#segment) {
      const run = Math.min(this.#segment, bytes - done);
      if (isWrite) list.addReadable(data + done, run);
      else list.addWritable(data + done, run);
    }
    list.addWritable(this.#statuses.address + slot * STATUS_STRIDE, 1);
  }

  #describePremapped(slot: number, data: DmaRegion, bytes: number, isWrite: boolean): void {
    const list = this.#list;
    const headers = this.#headers.region!;
    const statuses = this.#statuses.region!;
    headers.syncForDevice(slot * BLOCK_HEADER_SIZE, BLOCK_HEADER_SIZE);
    statuses.syncForDevice(slot * STATUS_STRIDE, 1);
    const at = slot * this.maxBytes;
    if (isWrite) data.syncForDevice(at, bytes);
    list.addReadableRegion(headers, slot * BLOCK_HEADER_SIZE, BLOCK_HEADER_SIZE);
    for (let done = 0; done < bytes; done += this.#segment) {
      const run = Math.min(this.#segment, bytes - done);
      if (isWrite) list.addReadableRegion(data, at + done, run);
      else list.addWritableRegion(data, at + done, run);
    }
    list.addWritableRegion(statuses, slot * STATUS_STRIDE, 1);
  }

  /**
   * Reads the status of a request that came back, once: the device may change it in between. It is an error also where
   * the device wrote less than it had to.
   */
  #finish(i: number, slot: number, written: number): void {
    const bytes = this.#type[slot] === VIRTIO_BLK_T_OUT ? 0 : this.#length[slot]!;
    this.#statuses.region?.syncForCpu(slot * STATUS_STRIDE, 1);
    if (bytes > 0) this.#data.region?.syncForCpu(slot * this.maxBytes, bytes < written ? bytes : written);
    const status = this.#memory.u8[this.#statuses.address + slot * STATUS_STRIDE]!;
    const isWrong = status === NO_STATUS || (status === 0 && written < bytes + 1);
    this.completedBytes[i] = status;
    this.completedStatus[i] = isWrong ? VIRTIO_BLK_S_IOERR : status;
  }
}
