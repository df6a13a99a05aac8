/** A buffer that is outstanding, as the driver recorded it. */
export interface OutstandingBuffer {
  /** The id that `add` returned. */
  readonly id: number;
  readonly segments: number;
  /** Buffers that were added after this one. */
  readonly age: number;
  /** Bytes that the device may write. */
  readonly writableBytes: number;
  readonly isIndirect: boolean;
}

/** What both ends of a ring have: the driver's own record, and what is in the ring's memory. */
export interface RingInspection {
  readonly layout: 'split' | 'packed';
  /** Whether EVENT_IDX was negotiated. */
  readonly eventIdx: boolean;
  /**
   * The driver's position: how far it made buffers available, and how far it took used ones back. Of a split ring
   * 16-bit indices; of a packed ring slots, with the wrap counter in bit 15.
   */
  readonly driver: { readonly available: number; readonly taken: number };
  /**
   * The fields of the driver in the ring: `avail.flags` and `used_event`, or flags and position of the driver event
   * suppression structure.
   */
  readonly driverEvent: { readonly flags: number; readonly position: number };
  /** `used.idx`, up to which the device used buffers; `undefined` in a packed ring. */
  readonly used: number | undefined;
  /** Whether a used buffer lies in the ring that the driver has not taken back. */
  readonly hasUsed: boolean;
  /**
   * Of a packed ring: what is wrong with the used descriptors. `wrong-wrap`: the next one is marked used with the wrap
   * counter of another lap. A number: the first slot that is used although the next one is not. `undefined` otherwise.
   */
  readonly usedAstray: 'wrong-wrap' | number | undefined;
  /**
   * The fields of the device in the ring: `used.flags` and `avail_event`, or flags and position of the device event
   * suppression structure.
   */
  readonly deviceEvent: { readonly flags: number; readonly position: number };
  /** The oldest first. */
  readonly outstanding: readonly OutstandingBuffer[];
}
