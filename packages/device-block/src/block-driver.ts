import { DeviceError, DmaError, type BufferMapping } from '@virtio-platform/core';
import { CACHE_LINE_SIZE, DmaDirection, type DmaMapping, type DmaRegion } from '@virtio-platform/core/dma';
import { FeatureSet } from '@virtio-platform/core/features';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { QUEUE_FULL, ScatterList, UsedBatch, type ByteOrder, type Virtqueue } from '@virtio-platform/core/queue';
import { checkQueueSize, openBufferArea, type BufferArea } from '@virtio-platform/device-kit';
import {
  VIRTIO_BLK_F_BLK_SIZE,
  VIRTIO_BLK_F_FLUSH,
  VIRTIO_BLK_F_MQ,
  VIRTIO_BLK_F_RO,
  VIRTIO_BLK_F_SEG_MAX,
  VIRTIO_BLK_F_SIZE_MAX,
} from './block-features.ts';
import type { BlockConfig } from './block-config.ts';
import {
  BLOCK_HEADER_SIZE,
  BLOCK_ID_SIZE,
  SECTOR_SIZE,
  VIRTIO_BLK_S_IOERR,
  VIRTIO_BLK_S_OK,
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
  /** Longest request in bytes: a multiple of 512 and of the device's blocks. */
  readonly maxBytes: number;
  readonly buffers: BufferMapping;
  /** Of request headers: the guest's own on the legacy interface. */
  readonly byteOrder: ByteOrder;
  /**
   * Sends an available buffer notification, where `poll` adds what is left of a request that is made in pieces. Without
   * it the device learns of these pieces with the next `publish`.
   */
  readonly notify?: ((queue: Virtqueue) => void) | undefined;
}

/** From one status to the next: the device writes each. */
const STATUS_STRIDE = CACHE_LINE_SIZE;

/** The status byte of a request before the device writes it; no status has this value. */
export const NO_STATUS = 0xff;
/** How often in a row a piece may not be mappable while nothing is in flight: failures on purpose are no state. */
const MAX_FAILURES = 64;

/**
 * The driver half of a block device (specification 1.4 section 5.2). Works in slots: `take` one, fill its data,
 * `submit` it, `publish`, and `poll` until it comes back. Header, data and status are buffers of their own, so that
 * every framing rule is met and each has the narrowest direction. Hot: no allocation per request.
 *
 * As in Linux, a request that is longer than the device, the mapping or the queue allows is made in pieces of whole
 * blocks: the device sees several requests, and the slot comes back with the last of them, with the first status that
 * is not OK. What did not fit the queue is added as pieces come back; until then `submit` takes no other slot.
 */
export class BlockDriver {
  readonly depth: number;
  readonly maxBytes: number;
  readonly #memory: GuestMemory;
  readonly #queue: Virtqueue;
  readonly #littleEndian: boolean;
  readonly #list: ScatterList;
  readonly #batch: UsedBatch;
  readonly #notify: ((queue: Virtqueue) => void) | undefined;
  readonly #segment: number;
  /** Bytes of data of the longest piece. */
  readonly #pieceBytes: number;
  readonly #headers: BufferArea;
  readonly #statuses: BufferArea;
  readonly #data: BufferArea;
  /** By id of a buffer: its piece. */
  #pieceOf: Uint16Array;
  /** By piece: its slot, where its data begins there, and the bytes of it. */
  readonly #slotOf: Uint16Array;
  readonly #pieceAt: Uint32Array;
  readonly #pieceLength: Uint32Array;
  readonly #freePieces: Uint16Array;
  #freePieceCount: number;
  /** By slot: the request, how many bytes of it were added, how many pieces are in flight, and what came of it. */
  readonly #type: Uint32Array;
  readonly #sector: Float64Array;
  readonly #length: Uint32Array;
  readonly #added: Uint32Array;
  readonly #open: Uint32Array;
  readonly #status: Uint8Array;
  /** By slot, of the piece that failed or came last: buffer id, used length, least used length, status byte. */
  readonly #lastId: Uint16Array;
  readonly #lastLength: Uint32Array;
  readonly #lastLeast: Uint32Array;
  readonly #lastByte: Uint8Array;
  readonly #free: Uint16Array;
  #freeCount: number;
  /** The slot of which pieces are still to be added, or -1. */
  #partial = -1;
  /** Of the last `poll`: slot and status of each request that came back. */
  readonly completedSlots: Uint16Array;
  readonly completedStatus: Uint8Array;
  /**
   * Of the last `poll`: buffer id, used length, and status byte, {@link NO_STATUS} where the device left it, of the
   * piece of the request that failed, or of its last one.
   */
  readonly completedIds: Uint16Array;
  readonly completedLengths: Uint32Array;
  readonly completedBytes: Uint8Array;
  /** Of the last `poll`: the least used length that a request with status OK may have. */
  readonly completedLeast: Uint32Array;

  /**
   * Throws {@link DmaError} when there is no memory for the buffers, and {@link DeviceError}: `ERR_DEVICE_BLOCK_SIZE`,
   * `ERR_DEVICE_CONFIG` where the device takes not even one block in a request, `ERR_QUEUE_TOO_SMALL`. Then nothing
   * stays allocated.
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
    checkBlockSize(config, maxBytes);
    this.depth = depth;
    this.maxBytes = maxBytes;
    this.#memory = memory;
    this.#queue = queue;
    this.#notify = options.notify;
    this.#littleEndian = options.byteOrder === 'little';
    this.#segment = Math.min(maxBytes, config.sizeMax, mapping.limits.maxMappingSize);
    this.#pieceBytes = longestPiece(config, this.#segment, queue, maxBytes);
    const pieces = Math.min(depth * Math.ceil(maxBytes / this.#pieceBytes), queue.size);
    this.#list = new ScatterList(Math.ceil(this.#pieceBytes / this.#segment) + 2);
    this.#batch = new UsedBatch(Math.min(pieces, 64));
    this.#pieceOf = new Uint16Array(queue.size);
    this.#slotOf = new Uint16Array(pieces);
    this.#pieceAt = new Uint32Array(pieces);
    this.#pieceLength = new Uint32Array(pieces);
    this.#freePieces = Uint16Array.from({ length: pieces }, (_, i) => pieces - 1 - i);
    this.#freePieceCount = pieces;
    this.#type = new Uint32Array(depth);
    this.#sector = new Float64Array(depth);
    this.#length = new Uint32Array(depth);
    this.#added = new Uint32Array(depth);
    this.#open = new Uint32Array(depth);
    this.#lastId = new Uint16Array(depth);
    this.#lastLength = new Uint32Array(depth);
    this.#lastLeast = new Uint32Array(depth);
    this.#lastByte = new Uint8Array(depth);
    this.#status = new Uint8Array(depth);
    this.#free = Uint16Array.from({ length: depth }, (_, i) => depth - 1 - i);
    this.#freeCount = depth;
    this.completedSlots = new Uint16Array(this.#batch.capacity);
    this.completedStatus = new Uint8Array(this.#batch.capacity);
    this.completedIds = new Uint16Array(this.#batch.capacity);
    this.completedLengths = new Uint32Array(this.#batch.capacity);
    this.completedBytes = new Uint8Array(this.#batch.capacity);
    this.completedLeast = new Uint32Array(this.#batch.capacity);

    const areas: BufferArea[] = [];
    const open = (bytes: number, direction: DmaDirection): BufferArea => {
      const area = openBufferArea(memory, mapping, bytes, direction, options.buffers);
      areas.push(area);
      return area;
    };
    try {
      this.#headers = open(pieces * BLOCK_HEADER_SIZE, DmaDirection.ToDevice);
      this.#statuses = open(pieces * STATUS_STRIDE, DmaDirection.Bidirectional);
      this.#data = open(depth * maxBytes, DmaDirection.Bidirectional);
    } catch (error) {
      for (const area of areas) area.release();
      throw error;
    }
  }

  /** Buffers with the device: requests, or pieces of them. */
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

  /** The device address of the data of a slot; `undefined` where each request maps its data itself. Cold. */
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
    if (this.#partial >= 0) return QUEUE_FULL;
    this.#type[slot] = type;
    this.#sector[slot] = sector;
    this.#length[slot] = bytes;
    this.#added[slot] = 0;
    this.#open[slot] = 0;
    this.#status[slot] = VIRTIO_BLK_S_OK;
    const reason = this.#addPiece(slot);
    if (reason < 0 || this.#added[slot] === bytes) return reason;
    this.#partial = slot;
    this.#addRest();
    return 0;
  }

  /** Shows submitted requests to the device. Returns whether it wants to be notified. Hot. */
  publish(): boolean {
    return this.#queue.publish();
  }

  /**
   * Takes back requests and returns how many; their slots and status are in the `completed` arrays. Throws
   * {@link DmaError} `ERR_DMA_EXHAUSTED` where the rest of a request can never be mapped. Hot.
   */
  poll(): number {
    for (;;) {
      const came = this.#queue.takeUsed(this.#batch);
      let completed = 0;
      for (let i = 0; i < came; i++) {
        const piece = this.#pieceOf[this.#batch.ids[i]!]!;
        const slot = this.#slotOf[piece]!;
        const status = this.#finish(piece, slot, i);
        this.#freePieces[this.#freePieceCount++] = piece;
        if (status !== VIRTIO_BLK_S_OK) {
          if (this.#status[slot] === VIRTIO_BLK_S_OK) this.#status[slot] = status;
          // The rest of a request that failed is not made.
          if (this.#partial === slot) this.#partial = -1;
        }
        this.#open[slot]!--;
        if (this.#open[slot] !== 0 || this.#partial === slot) continue;
        this.completedSlots[completed] = slot;
        this.completedIds[completed] = this.#lastId[slot]!;
        this.completedLengths[completed] = this.#lastLength[slot]!;
        this.completedLeast[completed] = this.#lastLeast[slot]!;
        this.completedBytes[completed] = this.#lastByte[slot]!;
        this.completedStatus[completed++] = this.#status[slot]!;
      }
      if (this.#partial >= 0) this.#goOn();
      if (completed > 0 || came === 0) return completed;
    }
  }

  /**
   * The slots of requests that a reset of the queue took back, by the ids that it returned: the caller's again, to be
   * submitted again or given back. The queue may have another size since: throws {@link DeviceError}
   * `ERR_QUEUE_TOO_SMALL`.
   */
  recover(ids: readonly number[]): number[] {
    checkQueueSize(this.#queue, this.#list.capacity);
    const slots = new Set<number>();
    for (const id of ids) {
      const piece = this.#pieceOf[id]!;
      slots.add(this.#slotOf[piece]!);
      this.#freePieces[this.#freePieceCount++] = piece;
    }
    if (slots.has(this.#partial)) this.#partial = -1;
    this.#pieceOf = new Uint16Array(this.#queue.size);
    return [...slots];
  }

  /** Gives back all buffers. Only after the device confirmed a reset and the queue was reset. */
  dispose(): void {
    for (const area of [this.#headers, this.#statuses, this.#data]) area.release();
  }

  /** Adds what is left of the partial request, and shows it. Hot. */
  #goOn(): void {
    const before = this.#freePieceCount;
    let reason = this.#addRest();
    for (let failures = 1; reason < 0 && this.#queue.outstanding === 0; failures++) {
      if (this.#queue.broken !== undefined) return;
      if (failures === MAX_FAILURES) {
        throw new DmaError('ERR_DMA_EXHAUSTED', `a piece of a request cannot be mapped (reason ${reason})`, {
          hint: 'give the platform a larger window or pool, or ask for smaller blocks',
        });
      }
      reason = this.#addRest();
    }
    const notify = this.#notify;
    if (notify !== undefined && this.#freePieceCount !== before && this.#queue.publish()) notify(this.#queue);
  }

  /** Adds pieces of the partial request until all are added. Returns 0, or the reason why not all are. Hot. */
  #addRest(): number {
    const slot = this.#partial;
    while (this.#added[slot]! < this.#length[slot]!) {
      const reason = this.#addPiece(slot);
      if (reason < 0) return reason;
    }
    this.#partial = -1;
    return 0;
  }

  /** Adds the next piece of a request. Returns 0, or a negative reason with nothing added. Hot. */
  #addPiece(slot: number): number {
    if (this.#freePieceCount === 0) return QUEUE_FULL;
    const piece = this.#freePieces[this.#freePieceCount - 1]!;
    const type = this.#type[slot]!;
    const at = this.#added[slot]!;
    const left = this.#length[slot]! - at;
    const bytes = left < this.#pieceBytes ? left : this.#pieceBytes;
    this.#writeHeader(this.#headers.address + piece * BLOCK_HEADER_SIZE, type, this.#sector[slot]! + at / SECTOR_SIZE);
    this.#memory.u8[this.#statuses.address + piece * STATUS_STRIDE] = NO_STATUS;
    const list = this.#list;
    list.clear();
    const start = slot * this.maxBytes + at;
    if (this.#data.region === undefined) this.#describe(piece, start, bytes, type === VIRTIO_BLK_T_OUT);
    else this.#describePremapped(piece, this.#data.region, start, bytes, type === VIRTIO_BLK_T_OUT);
    const head = this.#queue.add(list);
    if (head < 0) return head;
    this.#freePieceCount--;
    this.#pieceOf[head] = piece;
    this.#slotOf[piece] = slot;
    this.#pieceAt[piece] = start;
    this.#pieceLength[piece] = bytes;
    this.#added[slot] = at + bytes;
    this.#open[slot]!++;
    return 0;
  }

  #writeHeader(at: number, type: number, sector: number): void {
    const { view } = this.#memory;
    const littleEndian = this.#littleEndian;
    view.setUint32(at, type, littleEndian);
    view.setUint32(at + 4, 0, littleEndian);
    view.setUint32(at + (littleEndian ? 8 : 12), sector % 0x1_0000_0000, littleEndian);
    view.setUint32(at + (littleEndian ? 12 : 8), Math.floor(sector / 0x1_0000_0000), littleEndian);
  }

  /** `start` is where the data of the piece begins in the area of all data. */
  #describe(piece: number, start: number, bytes: number, isWrite: boolean): void {
    const list = this.#list;
    list.addReadable(this.#headers.address + piece * BLOCK_HEADER_SIZE, BLOCK_HEADER_SIZE);
    const data = this.#data.address + start;
    for (let done = 0; done < bytes; done += this.#segment) {
      const run = Math.min(this.#segment, bytes - done);
      if (isWrite) list.addReadable(data + done, run);
      else list.addWritable(data + done, run);
    }
    list.addWritable(this.#statuses.address + piece * STATUS_STRIDE, 1);
  }

  #describePremapped(piece: number, data: DmaRegion, start: number, bytes: number, isWrite: boolean): void {
    const list = this.#list;
    const headers = this.#headers.region!;
    const statuses = this.#statuses.region!;
    headers.syncForDevice(piece * BLOCK_HEADER_SIZE, BLOCK_HEADER_SIZE);
    statuses.syncForDevice(piece * STATUS_STRIDE, 1);
    if (isWrite) data.syncForDevice(start, bytes);
    list.addReadableRegion(headers, piece * BLOCK_HEADER_SIZE, BLOCK_HEADER_SIZE);
    for (let done = 0; done < bytes; done += this.#segment) {
      const run = Math.min(this.#segment, bytes - done);
      if (isWrite) list.addReadableRegion(data, start + done, run);
      else list.addWritableRegion(data, start + done, run);
    }
    list.addWritableRegion(statuses, piece * STATUS_STRIDE, 1);
  }

  /**
   * The status of a piece, which came back at place `i` of the batch: an error also where the device wrote less than it
   * had to. Reads the status byte once, since the device may change it. The slot keeps what is said of the first piece
   * that failed, or of the last one.
   */
  #finish(piece: number, slot: number, i: number): number {
    const written = this.#batch.written[i]!;
    const bytes = this.#type[slot] === VIRTIO_BLK_T_OUT ? 0 : this.#pieceLength[piece]!;
    this.#statuses.region?.syncForCpu(piece * STATUS_STRIDE, 1);
    if (bytes > 0) this.#data.region?.syncForCpu(this.#pieceAt[piece]!, bytes < written ? bytes : written);
    const status = this.#memory.u8[this.#statuses.address + piece * STATUS_STRIDE]!;
    if (this.#status[slot] === VIRTIO_BLK_S_OK) {
      this.#lastId[slot] = this.#batch.ids[i]!;
      this.#lastLength[slot] = written;
      this.#lastLeast[slot] = bytes + 1;
      this.#lastByte[slot] = status;
    }
    return status === NO_STATUS || (status === 0 && written < bytes + 1) ? VIRTIO_BLK_S_IOERR : status;
  }
}

/** Throws {@link DeviceError} `ERR_DEVICE_BLOCK_SIZE` where requests are not whole blocks of the device. */
function checkBlockSize({ blockSize }: BlockConfig, maxBytes: number): void {
  if (maxBytes % blockSize === 0) return;
  const problem = `the device has blocks of ${blockSize} bytes (blk_size, virtio 1.4 §5.2.4), and the requests ${maxBytes}`;
  throw new DeviceError('ERR_DEVICE_BLOCK_SIZE', problem, {
    hint: `make workload.blockSize a multiple of ${blockSize} bytes, or give the device smaller blocks`,
  });
}

/** Bytes of the longest piece: whole blocks, in as many segments as device and queue take. */
function longestPiece(
  { blockSize, segMax, sizeMax }: BlockConfig,
  segment: number,
  queue: Virtqueue,
  most: number,
): number {
  const wholeBlocks = (segments: number): number => Math.floor((segment * segments) / blockSize) * blockSize;
  if (wholeBlocks(segMax) === 0) {
    const limits = `${segMax} segments (seg_max) of ${Math.min(segment, sizeMax)} bytes (size_max or the mapping's limit)`;
    throw new DeviceError(
      'ERR_DEVICE_CONFIG',
      `a request of at most ${limits} has not one block of ${blockSize} bytes (virtio 1.4 §5.2.4)`,
      { hint: 'the device has to take one block in a request, or not to offer SIZE_MAX and SEG_MAX' },
    );
  }
  // Header and status take an entry each.
  checkQueueSize(queue, Math.ceil(Math.min(blockSize, most) / segment) + 2);
  return Math.min(most, wholeBlocks(Math.min(segMax, queue.size - 2)));
}
