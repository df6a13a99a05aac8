/**
 * Is told what a device's end takes and returns, in the order that a process which goes on with the ring needs. Every
 * method is hot: no allocation.
 */
export interface DeviceQueueJournal {
  /** Of a packed ring: one more descriptor of the buffer that {@link taken} is called for next. */
  descriptor(low: number, high: number, length: number, flags: number, id: number): void;
  /** A buffer was taken from the ring, before the device half sees it. */
  taken(id: number): void;
  /** A buffer was returned. The driver does not see that before {@link publishing}. */
  returned(id: number): void;
  /** Everything returned since the last call is shown to the driver next. `position` is that of the next used entry. */
  publishing(position: number): void;
  /** The driver sees it. */
  published(position: number): void;
}

/** A descriptor as a packed ring has it. */
export interface RingDescriptor {
  readonly low: number;
  readonly high: number;
  readonly length: number;
  readonly flags: number;
}

/** A buffer that another device's end took from the ring and did not return: it is taken again, before all others. */
export interface ResubmittedBuffer {
  /** Head descriptor of a split ring, buffer id of a packed one. */
  readonly id: number;
  /** Of a packed ring, where its slots may have used descriptors by now; empty for a split one. */
  readonly descriptors: readonly RingDescriptor[];
}
