import type { BufferMapping } from '@virtio-platform/core';
import { CACHE_LINE_SIZE, DmaDirection, type DmaMapping } from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { ScatterList, type ByteOrder } from '@virtio-platform/core/queue';
import { openBufferAreas, type BufferArea } from '@virtio-platform/device-kit';
import { BLOCK_HEADER_SIZE, BLOCK_RANGE_SIZE } from '../layout.ts';

/** How much memory there is, and how it is described. */
export interface PieceBuffersOptions {
  /** Pieces in flight at once. */
  readonly pieces: number;
  /** Ranges of one piece. */
  readonly ranges: number;
  /** Bytes of data of all slots. */
  readonly data: number;
  /** Longest segment in bytes. */
  readonly segment: number;
  /** Most segments of the data of a piece. */
  readonly segments: number;
  readonly buffers: BufferMapping;
  /** Of headers and ranges. */
  readonly byteOrder: ByteOrder;
}

/** The status byte of a request before the device writes it; no status has this value. */
export const NO_STATUS = 0xff;

/** From one status to the next: the device writes each. */
const STATUS_STRIDE = CACHE_LINE_SIZE;

/**
 * The memory of a block driver: header, ranges and status of each piece, and the data of all slots. Each is a segment
 * of its own, so that every framing rule is met and each has the narrowest direction. Hot: no allocation per piece.
 */
export class PieceBuffers {
  /** The piece that was described last. */
  readonly list: ScatterList;
  readonly #memory: GuestMemory;
  readonly #littleEndian: boolean;
  readonly #segment: number;
  /** From one header to the next: the ranges of the piece are behind its header. */
  readonly #stride: number;
  readonly #headers: BufferArea;
  readonly #statuses: BufferArea;
  readonly #data: BufferArea;

  /** Throws {@link DmaError} when there is no memory for the buffers; then nothing stays allocated. */
  constructor(memory: GuestMemory, mapping: DmaMapping, options: PieceBuffersOptions) {
    const { pieces, ranges, buffers } = options;
    this.#memory = memory;
    this.#littleEndian = options.byteOrder === 'little';
    this.#segment = options.segment;
    this.#stride = BLOCK_HEADER_SIZE + ranges * BLOCK_RANGE_SIZE;
    // Header and status take an entry each.
    this.list = new ScatterList(options.segments + 2);
    [this.#headers, this.#statuses, this.#data] = openBufferAreas(memory, mapping, buffers, [
      [pieces * this.#stride, DmaDirection.ToDevice],
      [pieces * STATUS_STRIDE, DmaDirection.Bidirectional],
      [options.data, DmaDirection.Bidirectional],
    ]);
  }

  /** Where the data of all slots starts in guest memory. */
  get dataAddress(): number {
    return this.#data.address;
  }

  /** The device address of data; `undefined` where each request maps its data itself. Cold. */
  dataDeviceAddress(at: number): bigint | undefined {
    const { region } = this.#data;
    if (region === undefined) return undefined;
    const words = new Uint32Array(2);
    region.writeDeviceAddress(at, words, 0);
    return (BigInt(words[1]!) << 32n) | BigInt(words[0]!);
  }

  /** Writes the header of a piece, and clears its status. Hot. */
  begin(piece: number, type: number, sector: number): void {
    const at = this.#headers.address + piece * this.#stride;
    this.#write32(at, type);
    this.#write32(at + 4, 0);
    this.#write64(at + 8, sector);
    this.#memory.u8[this.#statuses.address + piece * STATUS_STRIDE] = NO_STATUS;
  }

  /** Writes one range of a piece. Hot. */
  writeRange(piece: number, index: number, sector: number, sectors: number, flags: number): void {
    const at = this.#headers.address + piece * this.#stride + BLOCK_HEADER_SIZE + index * BLOCK_RANGE_SIZE;
    this.#write64(at, sector);
    this.#write32(at + 8, sectors);
    this.#write32(at + 12, flags);
  }

  /** Describes a piece with `bytes` of data, from byte `start` of the data of all slots on. Hot. */
  describeData(piece: number, start: number, bytes: number, isWrite: boolean): void {
    this.#describeHeader(piece);
    this.#add(this.#data, start, bytes, this.#segment, isWrite);
    this.#describeStatus(piece);
  }

  /** Describes a piece with `count` ranges. Hot. */
  describeRanges(piece: number, count: number): void {
    this.#describeHeader(piece);
    const at = piece * this.#stride + BLOCK_HEADER_SIZE;
    this.#add(this.#headers, at, count * BLOCK_RANGE_SIZE, this.#segment, true);
    this.#describeStatus(piece);
  }

  /** Makes data visible to the device that it is to overwrite. Hot. */
  showData(start: number, bytes: number): void {
    this.#data.region?.syncForDevice(start, bytes);
  }

  /** Makes data visible that the device wrote. Hot. */
  syncData(start: number, bytes: number): void {
    this.#data.region?.syncForCpu(start, bytes);
  }

  /** The status byte of a piece, read once, since the device may change it. Hot. */
  readStatus(piece: number): number {
    this.#statuses.region?.syncForCpu(piece * STATUS_STRIDE, 1);
    return this.#memory.u8[this.#statuses.address + piece * STATUS_STRIDE]!;
  }

  /** Gives back all buffers. Only after the device stopped using them. */
  dispose(): void {
    for (const area of [this.#headers, this.#statuses, this.#data]) area.release();
  }

  #describeHeader(piece: number): void {
    this.list.clear();
    this.#add(this.#headers, piece * this.#stride, BLOCK_HEADER_SIZE, BLOCK_HEADER_SIZE, true);
  }

  #describeStatus(piece: number): void {
    const at = piece * STATUS_STRIDE;
    this.#statuses.region?.syncForDevice(at, 1);
    this.#add(this.#statuses, at, 1, 1, false);
  }

  #add({ region, address }: BufferArea, at: number, bytes: number, segment: number, isReadable: boolean): void {
    const { list } = this;
    if (region !== undefined && isReadable && bytes > 0) region.syncForDevice(at, bytes);
    for (let done = 0; done < bytes; done += segment) {
      const run = Math.min(segment, bytes - done);
      if (region === undefined) {
        if (isReadable) list.addReadable(address + at + done, run);
        else list.addWritable(address + at + done, run);
      } else if (isReadable) list.addReadableRegion(region, at + done, run);
      else list.addWritableRegion(region, at + done, run);
    }
  }

  #write32(at: number, value: number): void {
    this.#memory.view.setUint32(at, value, this.#littleEndian);
  }

  #write64(at: number, value: number): void {
    const low = this.#littleEndian ? at : at + 4;
    const high = this.#littleEndian ? at + 4 : at;
    this.#write32(low, value % 0x1_0000_0000);
    this.#write32(high, Math.floor(value / 0x1_0000_0000));
  }
}
