import type { BufferMapping } from '@virtio-platform/core';
import { CACHE_LINE_SIZE, DmaDirection, type DmaMapping, type DmaRegion } from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { ScatterList, UsedBatch, type ByteOrder, type Virtqueue } from '@virtio-platform/core/queue';
import { checkQueueSize, openBufferAreas, type BufferArea } from '@virtio-platform/device-kit';
import {
  SCSI_CDB_SIZE,
  SCSI_REQUEST_HEADER_SIZE,
  SCSI_RESPONSE_HEADER_SIZE,
  SCSI_SENSE_SIZE,
  VIRTIO_SCSI_S_OK,
} from '../layout.ts';
import { nameOfUnit, writeLun } from '../scsi-lun.ts';
import { readSense, SCSI_GOOD } from '../scsi-sense.ts';
import { nameOfCommand } from './name-of-request.ts';

/** The settings of one request queue. */
export interface CommandLaneOptions {
  /** Commands in flight at once. */
  readonly depth: number;
  /** Most bytes of data of one command. */
  readonly maxBytes: number;
  /** Most segments of data of one command. */
  readonly segMax: number;
  readonly buffers: BufferMapping;
  /** Of requests: the guest's own on the legacy interface. */
  readonly byteOrder: ByteOrder;
}

const REQUEST_SIZE = SCSI_REQUEST_HEADER_SIZE + SCSI_CDB_SIZE;
const RESPONSE_SIZE = SCSI_RESPONSE_HEADER_SIZE + SCSI_SENSE_SIZE;
const REQUEST_STRIDE = Math.ceil(REQUEST_SIZE / CACHE_LINE_SIZE) * CACHE_LINE_SIZE;
const RESPONSE_STRIDE = Math.ceil(RESPONSE_SIZE / CACHE_LINE_SIZE) * CACHE_LINE_SIZE;

/**
 * Each byte of a response before the device writes it; no response byte has this value. One value throughout, since a
 * device that is bounced sees what the driver filled in.
 */
export const NO_RESPONSE = 0xff;
const LEFT_WORD = 0xffff_ffff;
/** Bytes of a CDB that a lane keeps: operation code and address of the longest that is common. */
const KEPT_CDB = 10;

/** Flaws of an answer, as bits: sense_len beyond sense_size. */
export const FLAW_SENSE_LENGTH = 1;
/** Residual beyond the data of the command. */
export const FLAW_RESIDUAL = 2;
/** A used length that does not cover what the device says that it wrote. */
export const FLAW_USED_LENGTH = 4;

/**
 * The commands of one request queue (specification 1.4 section 5.6.6.1), in slots. Request, response and data are
 * buffers of their own, so that every framing rule is met and each has the narrowest direction. Hot: no allocation per
 * command.
 */
export class CommandLane {
  readonly queue: Virtqueue;
  readonly depth: number;
  readonly maxBytes: number;
  /** By slot, of a command in flight or complete: what the device answered. */
  readonly response: Uint8Array;
  readonly status: Uint8Array;
  readonly sense: Int32Array;
  readonly senseLength: Uint8Array;
  readonly residual: Uint32Array;
  readonly flaws: Uint8Array;
  readonly usedLength: Uint32Array;
  /** By slot: bytes of data out and in, the unit, and the words of the id that the device knows the command by. */
  readonly dataOut: Uint32Array;
  readonly dataIn: Uint32Array;
  readonly unit: Int32Array;
  readonly tagLow: Uint32Array;
  readonly tagHigh: Uint32Array;
  /** By slot: the id of its buffer in the queue. */
  readonly buffer: Uint16Array;
  /** Of the last `poll`. */
  readonly completedSlots: Uint16Array;
  readonly #memory: GuestMemory;
  readonly #littleEndian: boolean;
  readonly #segment: number;
  readonly #list: ScatterList;
  readonly #batch: UsedBatch;
  readonly #requests: BufferArea;
  readonly #responses: BufferArea;
  readonly #data: BufferArea;
  /** By slot: the start of its CDB, which the device may change in memory. */
  readonly #cdbs: Uint8Array;
  readonly #free: Uint16Array;
  #freeCount: number;
  #slotOf: Uint16Array;
  #sequence = 0;

  /**
   * Throws {@link DmaError} when there is no memory for the buffers, {@link DeviceError} `ERR_QUEUE_TOO_SMALL`; then
   * nothing stays allocated.
   */
  constructor(memory: GuestMemory, queue: Virtqueue, mapping: DmaMapping, options: CommandLaneOptions) {
    const { depth, maxBytes, buffers } = options;
    if (!(depth >= 1) || depth > queue.size) throw new RangeError(`depth ${depth} in a queue of ${queue.size}`);
    this.queue = queue;
    this.depth = depth;
    this.#memory = memory;
    this.#littleEndian = options.byteOrder === 'little';
    this.#segment = Math.min(mapping.limits.maxMappingSize, maxBytes);
    checkQueueSize(queue, 3);
    const segments = Math.min(Math.ceil(maxBytes / this.#segment), options.segMax, queue.size - 2);
    this.maxBytes = Math.min(maxBytes, segments * this.#segment);
    // Data in both directions may start a segment more.
    this.#list = new ScatterList(Math.min(segments + 3, queue.size));
    this.#batch = new UsedBatch(Math.min(depth, 64));
    this.response = new Uint8Array(depth);
    this.status = new Uint8Array(depth);
    this.sense = new Int32Array(depth);
    this.senseLength = new Uint8Array(depth);
    this.residual = new Uint32Array(depth);
    this.flaws = new Uint8Array(depth);
    this.usedLength = new Uint32Array(depth);
    this.dataOut = new Uint32Array(depth);
    this.dataIn = new Uint32Array(depth);
    this.unit = new Int32Array(depth).fill(-1);
    this.tagLow = new Uint32Array(depth);
    this.tagHigh = new Uint32Array(depth);
    this.buffer = new Uint16Array(depth);
    this.#cdbs = new Uint8Array(depth * KEPT_CDB);
    this.completedSlots = new Uint16Array(this.#batch.capacity);
    this.#free = Uint16Array.from({ length: depth }, (_, i) => depth - 1 - i);
    this.#freeCount = depth;
    this.#slotOf = new Uint16Array(queue.size);

    [this.#requests, this.#responses, this.#data] = openBufferAreas(memory, mapping, buffers, [
      [depth * REQUEST_STRIDE, DmaDirection.ToDevice],
      [depth * RESPONSE_STRIDE, DmaDirection.Bidirectional],
      [depth * this.#stride, DmaDirection.Bidirectional],
    ]);
  }

  /** Whether all slots are in use. Hot. */
  get isFull(): boolean {
    return this.#freeCount === 0;
  }

  /** Takes a slot, or returns -1 when all are in use. Hot. */
  take(): number {
    return this.#freeCount === 0 ? -1 : this.#free[--this.#freeCount]!;
  }

  /** Gives back a slot that was taken and is not in flight. Hot. */
  give(slot: number): void {
    this.unit[slot] = -1;
    this.#free[this.#freeCount++] = slot;
  }

  /** Where the data of a slot starts in guest memory: data-out, and behind it data-in. Hot. */
  dataAddress(slot: number): number {
    return this.#data.address + slot * this.#stride;
  }

  /** Where the sense data of a completed command is in guest memory. Hot. */
  senseAddress(slot: number): number {
    return this.#responses.address + slot * RESPONSE_STRIDE + SCSI_RESPONSE_HEADER_SIZE;
  }

  /**
   * The first byte of a response that says nothing and is neither zero nor left as the driver filled it: of the status
   * qualifier where the status is GOOD, or behind the sense data; -1 for none.
   */
  strayAt(slot: number): number {
    const { u8 } = this.#memory;
    const at = this.#responses.address + slot * RESPONSE_STRIDE;
    for (let i = 8; i < 10 && this.status[slot] === SCSI_GOOD; i++) if (isStray(u8[at + i]!)) return i;
    const end = SCSI_RESPONSE_HEADER_SIZE + this.senseLength[slot]!;
    for (let i = end; i < RESPONSE_SIZE; i++) if (isStray(u8[at + i]!)) return i;
    return -1;
  }

  /** Where data-in starts in the data of a slot, behind so many bytes of data-out. Hot. */
  inOffset(dataOut: number): number {
    return (dataOut + 3) & ~3;
  }

  /**
   * Adds a command. Returns 0, or a negative reason (`QUEUE_FULL`, `DMA_NO_SPACE`, …) with the slot still the caller's:
   * retry after the next completion. Hot.
   */
  submit(slot: number, target: number, lun: number, cdb: Uint8Array, dataOut: number, dataIn: number): number {
    this.#writeRequest(slot, target, lun, cdb);
    const responses = this.#responses.address + slot * RESPONSE_STRIDE;
    this.#memory.u8.fill(NO_RESPONSE, responses, responses + RESPONSE_SIZE);
    this.#responses.region?.syncForDevice(slot * RESPONSE_STRIDE, RESPONSE_SIZE);
    this.#list.clear();
    this.#describe(this.#requests, slot * REQUEST_STRIDE, REQUEST_SIZE, true);
    this.#describe(this.#data, slot * this.#stride, dataOut, true);
    this.#describe(this.#responses, slot * RESPONSE_STRIDE, RESPONSE_SIZE, false);
    this.#describe(this.#data, slot * this.#stride + this.inOffset(dataOut), dataIn, false);
    const head = this.queue.add(this.#list);
    if (head < 0) return head;
    this.#slotOf[head] = slot;
    this.buffer[slot] = head;
    this.dataOut[slot] = dataOut;
    this.dataIn[slot] = dataIn;
    return 0;
  }

  /** Takes back commands and returns how many; their slots are in `completedSlots`. Hot. */
  poll(): number {
    const came = this.queue.takeUsed(this.#batch);
    for (let i = 0; i < came; i++) {
      const slot = this.#slotOf[this.#batch.ids[i]!]!;
      this.#finish(slot, this.#batch.written[i]!);
      this.completedSlots[i] = slot;
    }
    return came;
  }

  /**
   * The slots of commands that a reset of the queue took back, by the ids that it returned: the caller's again, to be
   * submitted again or given back. The queue may have another size since: throws {@link DeviceError}
   * `ERR_QUEUE_TOO_SMALL`.
   */
  recover(ids: readonly number[]): number[] {
    checkQueueSize(this.queue, Math.ceil(this.maxBytes / this.#segment) + 2);
    const slots = ids.map((id) => this.#slotOf[id]!);
    this.#slotOf = new Uint16Array(this.queue.size);
    return slots;
  }

  /** What the buffer with this id asks for while the device has it: `write of block 312 of target 0, unit 1`. */
  describeBuffer(id: number): string {
    const slot = this.#slotOf[id]!;
    const cdb = this.#cdbs.subarray(slot * KEPT_CDB, (slot + 1) * KEPT_CDB);
    return `${nameOfCommand(cdb)} of ${nameOfUnit(this.unit[slot]!)}`;
  }

  /** Gives back all buffers. Only after the device confirmed a reset and the queue was reset. */
  dispose(): void {
    for (const area of [this.#requests, this.#responses, this.#data]) area.release();
  }

  /** Bytes from the data of one slot to that of the next: whole cache lines. */
  get #stride(): number {
    return Math.ceil(this.maxBytes / CACHE_LINE_SIZE) * CACHE_LINE_SIZE;
  }

  /** The id is the slot, and in its high word a number that no earlier command had. */
  #writeRequest(slot: number, target: number, lun: number, cdb: Uint8Array): void {
    const { u8, view } = this.#memory;
    const at = this.#requests.address + slot * REQUEST_STRIDE;
    this.#sequence = (this.#sequence + 1) >>> 0;
    const low = slot | (this.queue.index << 16);
    this.tagLow[slot] = low;
    this.tagHigh[slot] = this.#sequence;
    writeLun(u8, at, target, lun);
    view.setUint32(at + (this.#littleEndian ? 8 : 12), low, this.#littleEndian);
    view.setUint32(at + (this.#littleEndian ? 12 : 8), this.#sequence, this.#littleEndian);
    u8.fill(0, at + 16, at + REQUEST_SIZE);
    for (let i = 0; i < cdb.length; i++) u8[at + SCSI_REQUEST_HEADER_SIZE + i] = cdb[i]!;
    for (let i = 0; i < KEPT_CDB; i++) this.#cdbs[slot * KEPT_CDB + i] = cdb[i] ?? 0;
  }

  #describe({ region, address }: BufferArea, at: number, bytes: number, isReadable: boolean): void {
    if (region !== undefined && isReadable && bytes > 0) region.syncForDevice(at, bytes);
    for (let done = 0; done < bytes; done += this.#segment) {
      const run = Math.min(this.#segment, bytes - done);
      if (region === undefined) this.#append(address + at + done, run, isReadable);
      else this.#appendRegion(region, at + done, run, isReadable);
    }
  }

  #append(address: number, bytes: number, isReadable: boolean): void {
    if (isReadable) this.#list.addReadable(address, bytes);
    else this.#list.addWritable(address, bytes);
  }

  #appendRegion(region: DmaRegion, at: number, bytes: number, isReadable: boolean): void {
    if (isReadable) this.#list.addReadableRegion(region, at, bytes);
    else this.#list.addWritableRegion(region, at, bytes);
  }

  /** Reads the response once, since the device may change it, and keeps what it says as far as it can be. */
  #finish(slot: number, written: number): void {
    const { u8, view } = this.#memory;
    const at = this.#responses.address + slot * RESPONSE_STRIDE;
    const dataOut = this.dataOut[slot]!;
    const dataIn = this.dataIn[slot]!;
    this.#responses.region?.syncForCpu(slot * RESPONSE_STRIDE, RESPONSE_SIZE);
    const inBytes = Math.min(dataIn, Math.max(0, written - RESPONSE_SIZE));
    if (inBytes > 0) this.#data.region?.syncForCpu(slot * this.#stride + this.inOffset(dataOut), inBytes);
    const response = u8[at + 11]!;
    // Without OK the other fields mean nothing, and a device may leave them.
    const isOk = response === VIRTIO_SCSI_S_OK;
    const senseLength = toldWord(view.getUint32(at, this.#littleEndian), isOk);
    const residual = toldWord(view.getUint32(at + 4, this.#littleEndian), isOk);
    const status = isOk || u8[at + 10] !== NO_RESPONSE ? u8[at + 10]! : SCSI_GOOD;
    const data = dataOut + dataIn;
    const senseBytes = Math.min(senseLength, SCSI_SENSE_SIZE);
    const isIn = dataOut === 0 && isOk && status === SCSI_GOOD;
    const least =
      isIn && residual < dataIn ? RESPONSE_SIZE + dataIn - residual : SCSI_RESPONSE_HEADER_SIZE + senseBytes;
    this.usedLength[slot] = written;
    this.response[slot] = response;
    this.status[slot] = status;
    this.senseLength[slot] = senseBytes;
    this.sense[slot] = senseBytes === 0 ? 0 : readSense(u8, at + SCSI_RESPONSE_HEADER_SIZE, senseBytes);
    this.residual[slot] = Math.min(residual, data);
    this.flaws[slot] =
      (senseLength > SCSI_SENSE_SIZE ? FLAW_SENSE_LENGTH : 0) |
      (residual > data ? FLAW_RESIDUAL : 0) |
      (written < least ? FLAW_USED_LENGTH : 0);
  }
}

/** A word of a response: 0 where the device left it and may. Hot. */
function toldWord(word: number, isOk: boolean): number {
  return word === LEFT_WORD && !isOk ? 0 : word;
}

function isStray(byte: number): boolean {
  return byte !== 0 && byte !== NO_RESPONSE;
}
