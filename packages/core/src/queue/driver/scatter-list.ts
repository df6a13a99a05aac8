import type { DmaRegion } from '../../dma/dma-region.ts';

/** The largest used length: a chain describes no more than 2^32 bytes. Section 2.7.5.2. */
const MAX_REQUEST_BYTES = 0xffff_ffff;

/**
 * The segments of one request, which a driver fills for each request and `Virtqueue.add` reads: device-readable
 * segments first, then device-writable ones (specification 1.4 section 2.7.4.2). A segment is either a buffer, which
 * the queue maps, and unmaps when it comes back, or a part of a premapped region. Hot: no allocation after
 * construction.
 */
export class ScatterList {
  readonly capacity: number;
  /** Guest-physical address of each segment. */
  readonly address: Float64Array;
  readonly length: Uint32Array;
  /**
   * Device address of each segment, low and high word: of part of a region from the start, of a buffer once
   * `Virtqueue.add` mapped it.
   */
  readonly words: Uint32Array;
  /** 1 where the segment is part of a premapped region. */
  readonly premapped: Uint8Array;
  #count = 0;
  #mapped = 0;
  #readable = 0;
  #bytes = 0;
  #readableBytes = 0;

  /** `capacity` is the largest number of segments in a request. */
  constructor(capacity: number) {
    this.capacity = capacity;
    this.address = new Float64Array(capacity);
    this.length = new Uint32Array(capacity);
    this.words = new Uint32Array(capacity * 2);
    this.premapped = new Uint8Array(capacity);
  }

  /** Segments of the request. */
  get count(): number {
    return this.#count;
  }

  /** Segments that the queue maps: those that are no part of a region. */
  get mapped(): number {
    return this.#mapped;
  }

  /** Device-readable segments: the first ones. */
  get readable(): number {
    return this.#readable;
  }

  /** Bytes of all segments. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Bytes of the device-writable segments. */
  get writableBytes(): number {
    return this.#bytes - this.#readableBytes;
  }

  clear(): void {
    this.#count = 0;
    this.#mapped = 0;
    this.#readable = 0;
    this.#bytes = 0;
    this.#readableBytes = 0;
  }

  /** Appends a buffer that the device reads. */
  addReadable(address: number, length: number): void {
    this.#append(address, length, 0);
    this.#markReadable();
  }

  /** Appends a buffer that the device writes. */
  addWritable(address: number, length: number): void {
    this.#append(address, length, 0);
  }

  /** Appends part of a region that the device reads. */
  addReadableRegion(region: DmaRegion, offset: number, length: number): void {
    this.#appendRegion(region, offset, length);
    this.#markReadable();
  }

  /** Appends part of a region that the device writes. */
  addWritableRegion(region: DmaRegion, offset: number, length: number): void {
    this.#appendRegion(region, offset, length);
  }

  #append(address: number, length: number, premapped: 0 | 1): void {
    const at = this.#count;
    const bytes = this.#bytes + length;
    if (at === this.capacity || !(length > 0) || bytes > MAX_REQUEST_BYTES) this.#refuse(length);
    this.address[at] = address;
    this.length[at] = length;
    this.premapped[at] = premapped;
    this.#mapped += 1 - premapped;
    this.#bytes = bytes;
    this.#count = at + 1;
  }

  #refuse(length: number): never {
    if (this.#count === this.capacity)
      throw new RangeError(`a request in this list has at most ${this.capacity} segments`);
    if (!(length > 0)) throw new RangeError(`a segment has at least one byte, not ${length}`);
    throw new RangeError(`a request has at most ${MAX_REQUEST_BYTES} bytes, not ${this.#bytes} and ${length} more`);
  }

  #appendRegion(region: DmaRegion, offset: number, length: number): void {
    if (!(offset >= 0) || offset + length > region.length) {
      throw new RangeError(`bytes ${offset}..${offset + length} are outside a region of ${region.length} bytes`);
    }
    this.#append(region.address + offset, length, 1);
    region.writeDeviceAddress(offset, this.words, (this.#count - 1) * 2);
  }

  #markReadable(): void {
    if (this.#readable !== this.#count - 1)
      throw new TypeError('device-readable segments come before device-writable ones');
    this.#readable = this.#count;
    this.#readableBytes = this.#bytes;
  }
}
