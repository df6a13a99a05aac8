/** Buffers that came back, filled by `Virtqueue.takeUsed` and reused by its caller. Hot: no allocation after construction. */
export class UsedBatch {
  readonly capacity: number;
  /** What `add` returned for each buffer. */
  readonly ids: Uint16Array;
  /** Bytes the device wrote, counted over the device-writable segments in order. */
  readonly written: Uint32Array;
  count = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.ids = new Uint16Array(capacity);
    this.written = new Uint32Array(capacity);
  }
}
