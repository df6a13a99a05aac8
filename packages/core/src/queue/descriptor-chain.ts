/**
 * One buffer as the device sees it, filled by `DeviceQueue.pop` and reused: device-readable segments first, then
 * device-writable ones, each a device address in two words and a length. A private copy: rewriting the descriptors in shared
 * memory changes nothing here. Hot: no allocation after construction.
 */
export class DescriptorChain {
  readonly capacity: number;
  readonly low: Uint32Array;
  readonly high: Uint32Array;
  readonly length: Uint32Array;
  /** The descriptor to return with `push`. */
  head = 0;
  count = 0;
  /** How many segments, from the first, are device-readable. */
  readable = 0;
  readableBytes = 0;
  writableBytes = 0;

  /** `capacity` is the queue size: no chain may be longer. */
  constructor(capacity: number) {
    this.capacity = capacity;
    this.low = new Uint32Array(capacity);
    this.high = new Uint32Array(capacity);
    this.length = new Uint32Array(capacity);
  }

  clear(head: number): void {
    this.head = head;
    this.count = 0;
    this.readable = 0;
    this.readableBytes = 0;
    this.writableBytes = 0;
  }
}
