import { DeviceError, DmaError, type BufferMapping } from '@virtio-platform/core';
import type { DmaMapping } from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { QUEUE_FULL, UsedBatch, type ByteOrder, type Virtqueue } from '@virtio-platform/core/queue';
import { checkQueueSize } from '@virtio-platform/device-kit';
import type { BlockConfig } from './block-config.ts';
import { cutRange, type RangeLimits } from './block-limits.ts';
import {
  BLOCK_ID_SIZE,
  BLOCK_LIFETIME_SIZE,
  SECTOR_SIZE,
  VIRTIO_BLK_S_IOERR,
  VIRTIO_BLK_S_OK,
  VIRTIO_BLK_T_DISCARD,
  VIRTIO_BLK_T_GET_ID,
  VIRTIO_BLK_T_GET_LIFETIME,
  VIRTIO_BLK_T_IN,
  VIRTIO_BLK_T_OUT,
  VIRTIO_BLK_T_SECURE_ERASE,
  VIRTIO_BLK_T_WRITE_ZEROES,
} from './layout.ts';
import { NO_STATUS, PieceBuffers } from './piece-buffers.ts';

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

/** How often in a row a piece may not be mappable while nothing is in flight: failures on purpose are no state. */
const MAX_FAILURES = 64;

/** Most ranges of a piece: their list is no longer than one sector, which every device takes in a request. */
const MOST_RANGES = 16;
/** What is sent of a kind of request that the device did not say to have. */
const NO_LIMITS: RangeLimits = { maxSectors: 0xffff_ffff, maxSegments: 1, alignment: 1 };

/**
 * The requests of a block driver on one queue (specification 1.4 section 5.2), in slots: `take` one, fill its data,
 * `submit` it, `publish`, `poll` until it comes back, and `give` it. Hot: no allocation per request.
 *
 * As in Linux, a request that is longer than the device, the mapping or the queue allows is made in pieces of whole
 * blocks: the device sees several requests, and the slot comes back with the last of them, with the first status that
 * is not OK. What did not fit the queue is added as pieces come back; until then `submit` takes no other slot.
 */
export class BlockSlots {
  /** Requests in flight at once: slots are 0 to `depth` - 1. */
  readonly depth: number;
  /** Longest read or write in bytes. */
  readonly maxBytes: number;
  /** Of the device when it was opened; `BlockDisk.config` follows changes of the capacity. */
  readonly config: BlockConfig;
  readonly queue: Virtqueue;
  protected readonly memory: GuestMemory;
  readonly #buffers: PieceBuffers;
  readonly #batch: UsedBatch;
  readonly #notify: ((queue: Virtqueue) => void) | undefined;
  /** Bytes of data of the longest piece. */
  readonly #pieceBytes: number;
  readonly #mostRanges: number;
  /** By id of a buffer: its piece. */
  #pieceOf: Uint16Array;
  /** By piece: its slot, where its data begins there, and the bytes that the device writes of it. */
  readonly #slotOf: Uint16Array;
  readonly #pieceAt: Uint32Array;
  readonly #pieceLength: Uint32Array;
  readonly #freePieces: Uint16Array;
  #freePieceCount: number;
  /**
   * By slot: the request, how much of it was added, how many pieces are in flight, and what came of it. Length and what
   * was added are bytes, or ranges, of the first of which so many sectors were added.
   */
  readonly #type: Uint32Array;
  readonly #sector: Float64Array;
  readonly #length: Uint32Array;
  readonly #added: Uint32Array;
  readonly #addedSectors: Float64Array;
  readonly #open: Uint32Array;
  readonly #status: Uint8Array;
  /** By slot: sector and sectors of each of its ranges, and the flags of all. */
  readonly #ranges: Float64Array;
  readonly #flags: Uint32Array;
  /** By slot, of the piece that failed or came last: buffer id, used length, least used length, status byte. */
  readonly #lastId: Uint16Array;
  readonly #lastLength: Uint32Array;
  readonly #lastLeast: Uint32Array;
  readonly #lastByte: Uint8Array;
  readonly #free: Uint16Array;
  #freeCount: number;
  /** The slot of which pieces are still to be added, or -1. */
  #partial = -1;
  /** Where the ranges of the piece that is being made end: a range, and sectors of it. */
  #nextRange = 0;
  #nextSectors = 0;
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
    const { depth, maxBytes, buffers, byteOrder } = options;
    if (!(depth >= 1) || depth > queue.size) throw new RangeError(`depth ${depth} in a queue of ${queue.size}`);
    if (!(maxBytes >= SECTOR_SIZE) || maxBytes % SECTOR_SIZE !== 0)
      throw new RangeError(`requests of ${maxBytes} bytes`);
    checkBlockSize(config, maxBytes);
    this.depth = depth;
    this.maxBytes = maxBytes;
    this.config = config;
    this.queue = queue;
    this.memory = memory;
    this.#notify = options.notify;
    const segment = Math.min(maxBytes, config.sizeMax, mapping.limits.maxMappingSize);
    this.#pieceBytes = longestPiece(config, segment, queue, maxBytes);
    const pieces = Math.min(depth * Math.ceil(maxBytes / this.#pieceBytes), queue.size);
    this.#batch = new UsedBatch(Math.min(pieces, 64));
    this.#pieceOf = new Uint16Array(queue.size);
    this.#slotOf = new Uint16Array(pieces);
    this.#pieceAt = new Uint32Array(pieces);
    this.#pieceLength = new Uint32Array(pieces);
    this.#freePieces = Uint16Array.from({ length: pieces }, (_, i) => pieces - 1 - i);
    this.#freePieceCount = pieces;
    this.#mostRanges = mostRanges(config);
    this.#type = new Uint32Array(depth);
    this.#sector = new Float64Array(depth);
    this.#length = new Uint32Array(depth);
    this.#added = new Uint32Array(depth);
    this.#addedSectors = new Float64Array(depth);
    this.#open = new Uint32Array(depth);
    this.#ranges = new Float64Array(depth * 2 * this.#mostRanges);
    this.#flags = new Uint32Array(depth);
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
    this.#buffers = new PieceBuffers(memory, mapping, {
      pieces,
      ranges: this.#mostRanges,
      data: depth * maxBytes,
      segment,
      segments: Math.ceil(this.#pieceBytes / segment),
      buffers,
      byteOrder,
    });
  }

  /** Buffers with the device: requests, or pieces of them. */
  get inFlight(): number {
    return this.queue.outstanding;
  }

  /** Most ranges of one {@link submitRanges}. */
  get mostRanges(): number {
    return this.#mostRanges;
  }

  /** The data of a request in guest memory, not a copy: valid until {@link give}. */
  data(id: number): Uint8Array {
    const address = this.dataAddress(id);
    return this.memory.u8.subarray(address, address + this.#length[id]!);
  }

  /** Takes a slot, or returns -1 when all are in use. */
  take(): number {
    return this.#freeCount === 0 ? -1 : this.#free[--this.#freeCount]!;
  }

  /** Gives back a slot that was taken and is not in flight, or the id of a request that came back. */
  give(slot: number): void {
    this.#free[this.#freeCount++] = slot;
  }

  /** The device address of the data of a slot; `undefined` where each request maps its data itself. Cold. */
  dataDeviceAddress(slot: number): bigint | undefined {
    return this.#buffers.dataDeviceAddress(slot * this.maxBytes);
  }

  /** Where the data of a slot starts in guest memory; {@link maxBytes} long. */
  dataAddress(slot: number): number {
    return this.#buffers.dataAddress + slot * this.maxBytes;
  }

  /**
   * Shows the device what is in the data of a slot before it reads into it, so that a device which writes nothing shows
   * nothing old. Hot.
   */
  showData(slot: number, length: number): void {
    this.#buffers.showData(slot * this.maxBytes, length);
  }

  /**
   * Adds a request: `length` bytes at `sector` for IN and OUT, ignored otherwise. Returns 0, or a negative reason
   * (`QUEUE_FULL`, `DMA_NO_SPACE`, …) with the slot still the caller's: retry after the next completion. Sends what it
   * is told, also to a disk that is read-only. Hot.
   */
  submit(slot: number, type: number, sector: number, length: number): number {
    const bytes = dataBytes(type, length);
    if (bytes > this.maxBytes)
      throw new RangeError(`a request of ${bytes} bytes; the driver was made for ${this.maxBytes}`);
    return this.#begin(slot, type, sector, bytes);
  }

  /** Sets range `index` (less than {@link mostRanges}) of the next {@link submitRanges} of a slot. Hot. */
  setRange(slot: number, index: number, sector: number, sectors: number): void {
    const at = 2 * (slot * this.#mostRanges + index);
    this.#ranges[at] = sector;
    this.#ranges[at + 1] = sectors;
  }

  /** Where range `index` of a slot starts. */
  rangeSector(slot: number, index: number): number {
    return this.#ranges[2 * (slot * this.#mostRanges + index)]!;
  }

  /** How many sectors range `index` of a slot has. */
  rangeSectors(slot: number, index: number): number {
    return this.#ranges[2 * (slot * this.#mostRanges + index) + 1]!;
  }

  /**
   * Adds a discard, write zeroes or secure erase of the first `count` ranges of a slot, whole blocks, with the same
   * flags for each. Returns as {@link submit}. Hot.
   */
  submitRanges(slot: number, type: number, count: number, flags: number): number {
    if (!(count >= 1) || count > this.#mostRanges)
      throw new RangeError(`${count} ranges; the driver was made for ${this.#mostRanges}`);
    this.#flags[slot] = flags;
    return this.#begin(slot, type, 0, count);
  }

  /** Shows submitted requests to the device. Returns whether it wants to be notified. Hot. */
  publish(): boolean {
    return this.queue.publish();
  }

  /**
   * Takes back requests and returns how many; their slots and status are in the `completed` arrays. Throws
   * {@link DmaError} `ERR_DMA_EXHAUSTED` where the rest of a request can never be mapped. Hot.
   */
  poll(): number {
    for (;;) {
      const came = this.queue.takeUsed(this.#batch);
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
    checkQueueSize(this.queue, this.#buffers.list.capacity);
    const slots = new Set<number>();
    for (const id of ids) {
      const piece = this.#pieceOf[id]!;
      slots.add(this.#slotOf[piece]!);
      this.#freePieces[this.#freePieceCount++] = piece;
    }
    if (slots.has(this.#partial)) this.#partial = -1;
    this.#pieceOf = new Uint16Array(this.queue.size);
    return [...slots];
  }

  /** Gives back all buffers. Only after the device confirmed a reset and the queue was reset. */
  dispose(): void {
    this.#buffers.dispose();
  }

  /** What a range request of this type may have; `undefined` where the device does not have it. */
  protected limitsOf(type: number): RangeLimits | undefined {
    if (type === VIRTIO_BLK_T_DISCARD) return this.config.discard;
    return type === VIRTIO_BLK_T_WRITE_ZEROES ? this.config.writeZeroes : this.config.secureErase;
  }

  /** Adds a request of `length` bytes or ranges, or the pieces of it that fit. Hot. */
  #begin(slot: number, type: number, sector: number, length: number): number {
    if (this.#partial >= 0) return QUEUE_FULL;
    this.#type[slot] = type;
    this.#sector[slot] = sector;
    this.#length[slot] = length;
    this.#added[slot] = 0;
    this.#addedSectors[slot] = 0;
    this.#open[slot] = 0;
    this.#status[slot] = VIRTIO_BLK_S_OK;
    const reason = this.#addPiece(slot);
    if (reason < 0 || this.#added[slot] === length) return reason;
    this.#partial = slot;
    this.#addRest();
    return 0;
  }

  /** Adds what is left of the partial request, and shows it. Hot. */
  #goOn(): void {
    const before = this.#freePieceCount;
    let reason = this.#addRest();
    for (let failures = 1; reason < 0 && this.queue.outstanding === 0; failures++) {
      if (this.queue.broken !== undefined) return;
      if (failures === MAX_FAILURES) {
        throw new DmaError('ERR_DMA_EXHAUSTED', `a piece of a request cannot be mapped (reason ${reason})`, {
          hint: 'give the platform a larger window or pool, or ask for smaller blocks',
        });
      }
      reason = this.#addRest();
    }
    const notify = this.#notify;
    if (notify !== undefined && this.#freePieceCount !== before && this.queue.publish()) notify(this.queue);
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
    if (isRanges(type)) return this.#addRanges(slot, piece, type);
    const at = this.#added[slot]!;
    const left = this.#length[slot]! - at;
    const bytes = left < this.#pieceBytes ? left : this.#pieceBytes;
    const start = slot * this.maxBytes + at;
    this.#buffers.begin(piece, type, this.#sector[slot]! + at / SECTOR_SIZE);
    this.#buffers.describeData(piece, start, bytes, type === VIRTIO_BLK_T_OUT);
    const reason = this.#add(slot, piece, start, type === VIRTIO_BLK_T_OUT ? 0 : bytes);
    if (reason === 0) this.#added[slot] = at + bytes;
    return reason;
  }

  /** Adds a piece of as many ranges as the device takes, of which the last may be cut. Hot. */
  #addRanges(slot: number, piece: number, type: number): number {
    const limits = this.limitsOf(type) ?? NO_LIMITS;
    const most = Math.min(limits.maxSegments, this.#mostRanges);
    this.#nextRange = this.#added[slot]!;
    this.#nextSectors = this.#addedSectors[slot]!;
    this.#buffers.begin(piece, type, 0);
    let count = 0;
    for (let room = limits.maxSectors; count < most && room > 0 && this.#nextRange < this.#length[slot]!; count++) {
      const sector = this.rangeSector(slot, this.#nextRange) + this.#nextSectors;
      const left = this.rangeSectors(slot, this.#nextRange) - this.#nextSectors;
      const run = cutRange(sector, left, room, limits.alignment);
      this.#buffers.writeRange(piece, count, sector, run, this.#flags[slot]!);
      this.#nextRange += run === left ? 1 : 0;
      this.#nextSectors = run === left ? 0 : this.#nextSectors + run;
      room = run === left ? room - run : 0;
    }
    this.#buffers.describeRanges(piece, count);
    const reason = this.#add(slot, piece, 0, 0);
    if (reason < 0) return reason;
    this.#added[slot] = this.#nextRange;
    this.#addedSectors[slot] = this.#nextSectors;
    return 0;
  }

  /** Adds the piece that was described, of which the device writes `bytes` from `start` on. Hot. */
  #add(slot: number, piece: number, start: number, bytes: number): number {
    const head = this.queue.add(this.#buffers.list);
    if (head < 0) return head;
    this.#freePieceCount--;
    this.#pieceOf[head] = piece;
    this.#slotOf[piece] = slot;
    this.#pieceAt[piece] = start;
    this.#pieceLength[piece] = bytes;
    this.#open[slot]!++;
    return 0;
  }

  /**
   * The status of a piece, which came back at place `i` of the batch: an error also where the device wrote less than it
   * had to. The slot keeps what is said of the first piece that failed, or of the last one.
   */
  #finish(piece: number, slot: number, i: number): number {
    const written = this.#batch.written[i]!;
    const bytes = this.#pieceLength[piece]!;
    const status = this.#buffers.readStatus(piece);
    if (bytes > 0) this.#buffers.syncData(this.#pieceAt[piece]!, bytes < written ? bytes : written);
    if (this.#status[slot] === VIRTIO_BLK_S_OK) {
      this.#lastId[slot] = this.#batch.ids[i]!;
      this.#lastLength[slot] = written;
      this.#lastLeast[slot] = bytes + 1;
      this.#lastByte[slot] = status;
    }
    return status === NO_STATUS || (status === 0 && written < bytes + 1) ? VIRTIO_BLK_S_IOERR : status;
  }
}

/** Whether the data of a request are ranges. Hot. */
export function isRanges(type: number): boolean {
  return type === VIRTIO_BLK_T_DISCARD || type === VIRTIO_BLK_T_WRITE_ZEROES || type === VIRTIO_BLK_T_SECURE_ERASE;
}

/** Bytes of data of a request that is no range request. Hot. */
function dataBytes(type: number, length: number): number {
  if (type === VIRTIO_BLK_T_IN || type === VIRTIO_BLK_T_OUT) return length;
  if (type === VIRTIO_BLK_T_GET_ID) return BLOCK_ID_SIZE;
  return type === VIRTIO_BLK_T_GET_LIFETIME ? BLOCK_LIFETIME_SIZE : 0;
}

/** Most ranges of a request on this device, at least 1. */
function mostRanges({ discard, writeZeroes, secureErase }: BlockConfig): number {
  const most = [discard, writeZeroes, secureErase].map((limits) => limits?.maxSegments ?? 1);
  return Math.min(MOST_RANGES, Math.max(...most));
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
