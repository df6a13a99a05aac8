import type { BrokenCode } from '../ring/broken-reason.ts';

/**
 * One buffer as the device sees it, filled by `DeviceQueue.pop` and reused: device-readable segments first, then
 * device-writable ones, each a device address in two words and a length. A private copy: rewriting the descriptors in
 * shared memory changes nothing here. Hot: no allocation after construction.
 */
export class DescriptorChain {
  readonly capacity: number;
  readonly low: Uint32Array;
  readonly high: Uint32Array;
  readonly length: Uint32Array;
  /** The descriptor to return with `push`. */
  head = 0;
  /** Segments of the chain. */
  count = 0;
  /** Device-readable segments: the first ones. */
  readable = 0;
  readableBytes = 0;
  /** Of all segments. */
  bytes = 0;

  /** `capacity` is the longest chain that fits: for any chain of a queue its `longestChain`. */
  constructor(capacity: number) {
    this.capacity = capacity;
    this.low = new Uint32Array(capacity);
    this.high = new Uint32Array(capacity);
    this.length = new Uint32Array(capacity);
  }

  /** Bytes that the device may write. */
  get writableBytes(): number {
    return this.bytes - this.readableBytes;
  }

  /** Empties the chain, for a buffer with this head. */
  clear(head: number): void {
    this.head = head;
    this.count = 0;
    this.readable = 0;
    this.readableBytes = 0;
    this.bytes = 0;
  }

  /**
   * Appends a segment. Returns the rule that such a chain breaks (sections 2.7.4.2 and 2.7.5.2), or `undefined`;
   * `limit` is the longest chain that the device takes.
   */
  append(low: number, high: number, length: number, isWritable: boolean, limit: number): BrokenCode | undefined {
    const at = this.count;
    if (at === limit || at === this.capacity) return 'descriptor-chain-too-long';
    const bytes = this.bytes + length;
    const wraps = high === 0xffff_ffff && low + length > 0x1_0000_0000;
    const isTooLong = bytes > 0x1_0000_0000;
    if (!isWritable) {
      if (this.readable !== at) return 'descriptor-order-invalid';
      this.readable = at + 1;
      this.readableBytes = bytes;
    }
    if (length === 0 || wraps || isTooLong) return 'descriptor-length-invalid';
    this.low[at] = low;
    this.high[at] = high;
    this.length[at] = length;
    this.bytes = bytes;
    this.count = at + 1;
    return undefined;
  }
}
