import type { BufferMapping } from '@virtio-platform/core';
import { mappingRefusal, type DmaMapping } from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { QUEUE_FULL, UsedBatch, type ByteOrder, type Virtqueue } from '@virtio-platform/core/queue';
import { checkQueueSize } from '@virtio-platform/device-kit';
import type { BlockConfig } from '../block-config.ts';
import { cutRange, type RangeLimits } from '../block-limits.ts';
import * as wire from '../layout.ts';
import { PieceBuffers } from './piece-buffers.ts';
import { pieceLimits, type PieceLimits } from './piece-limits.ts';
import { PieceTable } from './piece-table.ts';
import { RequestResults } from './request-results.ts';
import { RequestTable } from './request-table.ts';

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

/**
 * Bytes behind the data of each slot that no descriptor names, so that a device which writes further shows. A whole
 * sector, so that the data of each slot begins at one.
 */
const GUARD_BYTES = wire.SECTOR_SIZE;
/** What a guard is filled with. */
export const GUARD_WORD = 0xa55a_5aa5;
/** Words at the start of a guard that are looked at for each request. */
const CHECKED_WORDS = 16;

/** How often in a row a piece may not be mappable while nothing is in flight: failures on purpose are no state. */
const MAX_FAILURES = 64;

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
  readonly #limits: PieceLimits;
  readonly #pieces: PieceTable;
  readonly #requests: RequestTable;
  readonly #results: RequestResults;
  readonly #free: Uint16Array;
  #freeCount: number;
  /** Bytes of the guard behind the data of each slot, and from one slot to the next. */
  readonly #guard: number;
  readonly #stride: number;
  /** The slot of which pieces are still to be added, or -1. */
  #partial = -1;
  /** Of the last `poll`: slot and status of each request that came back. */
  readonly completedSlots: Uint16Array;
  readonly completedStatus: Uint8Array;
  /**
   * Of the last `poll`: buffer id, used length, and status byte, `NO_STATUS` where the device left it, of the piece of
   * the request that failed, or of its last one.
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
    if (!(maxBytes >= wire.SECTOR_SIZE) || maxBytes % wire.SECTOR_SIZE !== 0)
      throw new RangeError(`requests of ${maxBytes} bytes`);
    this.depth = depth;
    this.maxBytes = maxBytes;
    this.config = config;
    this.queue = queue;
    this.memory = memory;
    this.#notify = options.notify;
    this.#limits = pieceLimits(config, mapping, queue, maxBytes);
    const { segment, bytes, ranges } = this.#limits;
    const pieces = Math.min(depth * Math.ceil(maxBytes / bytes), queue.size);
    this.#batch = new UsedBatch(Math.min(pieces, 64));
    this.#pieces = new PieceTable(pieces, queue.size);
    this.#requests = new RequestTable(depth, ranges);
    const results = (this.#results = new RequestResults(depth, this.#batch.capacity));
    this.completedSlots = results.completedSlots;
    this.completedStatus = results.completedStatus;
    this.completedIds = results.completedIds;
    this.completedLengths = results.completedLengths;
    this.completedBytes = results.completedBytes;
    this.completedLeast = results.completedLeast;
    this.#free = Uint16Array.from({ length: depth }, (_, i) => depth - 1 - i);
    this.#freeCount = depth;
    // A buffer that is mapped for each request keeps to the pages of its data: no other memory is mapped with it.
    this.#guard = buffers === 'streaming' ? 0 : GUARD_BYTES;
    this.#stride = maxBytes + this.#guard;
    this.#buffers = new PieceBuffers(memory, mapping, {
      pieces,
      ranges,
      data: depth * this.#stride,
      segment,
      segments: Math.ceil(bytes / segment),
      buffers,
      byteOrder,
    });
    for (let slot = 0; slot < depth; slot++) this.fillGuard(slot);
  }

  /** Buffers with the device: requests, or pieces of them. */
  get inFlight(): number {
    return this.queue.outstanding;
  }

  /** Most ranges of one {@link submitRanges}. */
  get mostRanges(): number {
    return this.#limits.ranges;
  }

  /** The data of a request in guest memory, not a copy: valid until {@link give}. */
  data(id: number): Uint8Array {
    const address = this.dataAddress(id);
    return this.memory.u8.subarray(address, address + this.#requests.length[id]!);
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
    return this.#buffers.dataDeviceAddress(slot * this.#stride);
  }

  /** Where the guard behind the data of a slot starts in guest memory. */
  guardAddress(slot: number): number {
    return this.dataAddress(slot) + this.maxBytes;
  }

  /** Bytes of the guard behind the data of each slot: 0 where each request maps its data itself. */
  get guardBytes(): number {
    return this.#guard;
  }

  /** Whether the first bytes behind the data of a slot are as {@link fillGuard} left them. Hot. */
  isGuarded(slot: number): boolean {
    const words = this.memory.u32;
    const first = this.guardAddress(slot) / 4;
    const end = this.#guard === 0 ? first : first + CHECKED_WORDS;
    for (let at = first; at < end; at++) if (words[at] !== GUARD_WORD) return false;
    return true;
  }

  /** Writes the guard behind the data of a slot. */
  fillGuard(slot: number): void {
    const first = this.guardAddress(slot) / 4;
    this.memory.u32.fill(GUARD_WORD, first, first + this.#guard / 4);
  }

  /** The status byte of the buffer `id`, which came back last, as it is now. Cold. */
  statusNow(id: number): number {
    return this.#buffers.readStatus(this.#pieces.pieceOfBuffer(id));
  }

  /** The request that a buffer which the device has is of; `undefined` for another buffer. Cold. */
  requestOf(id: number): { readonly type: number; readonly sector: number } | undefined {
    const slot = this.#pieces.slotOfBuffer(id);
    if (slot === undefined) return undefined;
    return { type: this.#requests.type[slot]!, sector: this.#requests.sector[slot]! };
  }

  /** Where the data of a slot starts in guest memory; {@link maxBytes} long. */
  dataAddress(slot: number): number {
    return this.#buffers.dataAddress + slot * this.#stride;
  }

  /**
   * Shows the device what is in the data of a slot before it reads into it, so that a device which writes nothing shows
   * nothing old. Hot.
   */
  showData(slot: number, length: number): void {
    this.#buffers.showData(slot * this.#stride, length);
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
    this.#requests.setRange(slot, index, sector, sectors);
  }

  /** Where range `index` of a slot starts. */
  rangeSector(slot: number, index: number): number {
    return this.#requests.rangeSector(slot, index);
  }

  /** How many sectors range `index` of a slot has. */
  rangeSectors(slot: number, index: number): number {
    return this.#requests.rangeSectors(slot, index);
  }

  /**
   * Adds a discard, write zeroes or secure erase of the first `count` ranges of a slot, whole blocks, with the same
   * flags for each. Returns as {@link submit}. Hot.
   */
  submitRanges(slot: number, type: number, count: number, flags: number): number {
    if (!(count >= 1) || count > this.mostRanges)
      throw new RangeError(`${count} ranges; the driver was made for ${this.mostRanges}`);
    this.#requests.flags[slot] = flags;
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
        const slot = this.#takeBack(this.#batch.ids[i]!, this.#batch.written[i]!);
        // The rest of a request that failed is not made.
        if (this.#partial === slot && this.#results.hasFailed(slot)) this.#partial = -1;
        if (--this.#requests.open[slot]! === 0 && this.#partial !== slot) this.#results.complete(slot, completed++);
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
    for (const id of ids) slots.add(this.#pieces.slotOf[this.#pieces.remove(id)]!);
    if (slots.has(this.#partial)) this.#partial = -1;
    this.#pieces.resizeQueue(this.queue.size);
    return [...slots];
  }

  /** Gives back all buffers. Only after the device confirmed a reset and the queue was reset. */
  dispose(): void {
    this.#buffers.dispose();
  }

  /** What a range request of this type may have; `undefined` where the device does not have it. */
  protected limitsOf(type: number): RangeLimits | undefined {
    if (type === wire.VIRTIO_BLK_T_DISCARD) return this.config.discard;
    return type === wire.VIRTIO_BLK_T_WRITE_ZEROES ? this.config.writeZeroes : this.config.secureErase;
  }

  /** Adds a request of `length` bytes or ranges, or the pieces of it that fit. Hot. */
  #begin(slot: number, type: number, sector: number, length: number): number {
    if (this.#partial >= 0) return QUEUE_FULL;
    this.#requests.begin(slot, type, sector, length);
    this.#results.begin(slot);
    const reason = this.#addPiece(slot);
    if (reason < 0 || this.#requests.added[slot] === length) return reason;
    this.#partial = slot;
    this.#addRest();
    return 0;
  }

  /** Adds what is left of the partial request, and shows it. Hot. */
  #goOn(): void {
    const before = this.#pieces.freeCount;
    let reason = this.#addRest();
    for (let failures = 1; reason < 0 && this.queue.outstanding === 0; failures++) {
      if (this.queue.broken !== undefined) return;
      if (failures === MAX_FAILURES) {
        throw mappingRefusal('a piece of a request cannot be mapped', reason);
      }
      reason = this.#addRest();
    }
    const notify = this.#notify;
    if (notify !== undefined && this.#pieces.freeCount !== before && this.queue.publish()) notify(this.queue);
  }

  /** Adds pieces of the partial request until all are added. Returns 0, or the reason why not all are. Hot. */
  #addRest(): number {
    const slot = this.#partial;
    const { added, length } = this.#requests;
    while (added[slot]! < length[slot]!) {
      const reason = this.#addPiece(slot);
      if (reason < 0) return reason;
    }
    this.#partial = -1;
    return 0;
  }

  /** Adds the next piece of a request. Returns 0, or a negative reason with nothing added. Hot. */
  #addPiece(slot: number): number {
    const piece = this.#pieces.next;
    if (piece < 0) return QUEUE_FULL;
    const type = this.#requests.type[slot]!;
    if (isRanges(type)) return this.#addRanges(slot, piece, type);
    const { added, length, sector } = this.#requests;
    const at = added[slot]!;
    const left = length[slot]! - at;
    const bytes = left < this.#limits.bytes ? left : this.#limits.bytes;
    const start = slot * this.#stride + at;
    this.#buffers.begin(piece, type, sector[slot]! + at / wire.SECTOR_SIZE);
    this.#buffers.describeData(piece, start, bytes, type === wire.VIRTIO_BLK_T_OUT);
    const reason = this.#add(slot, start, type === wire.VIRTIO_BLK_T_OUT ? 0 : bytes);
    if (reason === 0) added[slot] = at + bytes;
    return reason;
  }

  /** Adds a piece of as many ranges as the device takes, of which the last may be cut. Hot. */
  #addRanges(slot: number, piece: number, type: number): number {
    const requests = this.#requests;
    const limits = this.limitsOf(type) ?? NO_LIMITS;
    const most = Math.min(limits.maxSegments, this.mostRanges);
    const end = requests.length[slot]!;
    const flags = requests.flags[slot]!;
    // Where the piece ends: a range, and sectors of it.
    let range = requests.added[slot]!;
    let sectors = requests.addedSectors[slot]!;
    this.#buffers.begin(piece, type, 0);
    let count = 0;
    for (let room = limits.maxSectors; count < most && room > 0 && range < end; count++) {
      const sector = requests.rangeSector(slot, range) + sectors;
      const left = requests.rangeSectors(slot, range) - sectors;
      const run = cutRange(sector, left, room, limits.alignment);
      this.#buffers.writeRange(piece, count, sector, run, flags);
      range += run === left ? 1 : 0;
      sectors = run === left ? 0 : sectors + run;
      room = run === left ? room - run : 0;
    }
    this.#buffers.describeRanges(piece, count);
    const reason = this.#add(slot, 0, 0);
    if (reason < 0) return reason;
    requests.added[slot] = range;
    requests.addedSectors[slot] = sectors;
    return 0;
  }

  /** Adds the piece that was described, of which the device writes `bytes` from `start` on. Hot. */
  #add(slot: number, start: number, bytes: number): number {
    const head = this.queue.add(this.#buffers.list);
    if (head < 0) return head;
    this.#pieces.add(head, slot, start, bytes);
    this.#requests.open[slot]!++;
    return 0;
  }

  /** The piece in buffer `id` came back, with `written` bytes. Returns its slot. Hot. */
  #takeBack(id: number, written: number): number {
    const piece = this.#pieces.remove(id);
    const slot = this.#pieces.slotOf[piece]!;
    const bytes = this.#pieces.writable[piece]!;
    const status = this.#buffers.readStatus(piece);
    if (bytes > 0) this.#buffers.syncData(this.#pieces.dataAt[piece]!, bytes < written ? bytes : written);
    this.#results.note(slot, id, written, bytes + 1, status);
    return slot;
  }
}

/** Whether the data of a request are ranges. Hot. */
export function isRanges(type: number): boolean {
  return (
    type === wire.VIRTIO_BLK_T_DISCARD ||
    type === wire.VIRTIO_BLK_T_WRITE_ZEROES ||
    type === wire.VIRTIO_BLK_T_SECURE_ERASE
  );
}

/** Bytes of data of a request that is no range request. Hot. */
function dataBytes(type: number, length: number): number {
  if (type === wire.VIRTIO_BLK_T_IN || type === wire.VIRTIO_BLK_T_OUT) return length;
  if (type === wire.VIRTIO_BLK_T_GET_ID) return wire.BLOCK_ID_SIZE;
  return type === wire.VIRTIO_BLK_T_GET_LIFETIME ? wire.BLOCK_LIFETIME_SIZE : 0;
}
