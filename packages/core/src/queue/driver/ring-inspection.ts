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
  /**
   * Where the driver made it available: of a split ring the available index, of a packed ring its first slot with the
   * wrap counter in bit 15. -1 where that is not known: of a packed ring that was restored.
   */
  readonly position: number;
}

/** A used element of a split ring, or a slot of a packed one, as the ring's memory has it. */
export interface UsedElement {
  /** Of a split ring the used index, of a packed ring the slot with the wrap counter in bit 15. */
  readonly position: number;
  readonly slot: number;
  readonly id: number;
  /** As the device wrote it. */
  readonly length: number;
  /** Of a packed ring. */
  readonly flags: number | undefined;
  /** `taken` by the driver, `used` by the device and not taken, `unused`. */
  readonly state: 'taken' | 'used' | 'unused';
}

/** What the driver wrote of a buffer, by its private record. */
export interface BufferRecord {
  readonly id: number;
  readonly isOutstanding: boolean;
  /** Buffers added before it, in 32 bits. */
  readonly addedAt: number;
  readonly isIndirect: boolean;
  /** `entry` counts the descriptors of the ring, or of the indirect table; `room` is what the device may write. */
  readonly segments: readonly {
    readonly entry: number;
    readonly address: bigint;
    readonly length: number;
    readonly room: number;
  }[];
}

/** The fields of a descriptor. `next` of a packed ring is the buffer id. */
export interface DescriptorFields {
  readonly address: bigint;
  readonly length: number;
  readonly flags: number;
  readonly next: number;
}

/** A descriptor of a buffer: as the driver wrote it, and as the ring's memory has it now. */
export interface DescriptorInspection {
  /** Whether it is in the ring itself, or in the indirect table of the buffer. */
  readonly isIn: 'ring' | 'table';
  /** The entry of the descriptor table, the slot of a packed ring, or the entry of the indirect table. */
  readonly index: number;
  readonly written: DescriptorFields;
  readonly found: DescriptorFields;
  /**
   * Whether both differ, although the device writes no descriptor (2.7.5.1): false of a slot of a packed ring that the
   * device may have used since.
   */
  readonly isChanged: boolean;
}

/** The descriptors of a buffer. */
export interface BufferInspection {
  readonly id: number;
  readonly isOutstanding: boolean;
  /** As in {@link OutstandingBuffer}. */
  readonly position: number;
  /** Those in the ring first. */
  readonly descriptors: readonly DescriptorInspection[];
}

/** What both ends of a ring have: the driver's own record, and what is in the ring's memory. */
export interface RingInspection {
  readonly layout: 'split' | 'packed';
  /** Whether EVENT_IDX was negotiated. */
  readonly eventIdx: boolean;
  /** Whether IN_ORDER was negotiated. */
  readonly inOrder: boolean;
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
  /**
   * The used elements around the driver's position: a few that it took, and those that the device used since, at most
   * {@link MOST_USED_ELEMENTS}. Of a packed ring the slots from its position on.
   */
  readonly usedElements: readonly UsedElement[];
  /** The oldest first. */
  readonly outstanding: readonly OutstandingBuffer[];
}

/** The most used elements of an inspection. */
export const MOST_USED_ELEMENTS = 80;
/** Of them, elements that the driver took. */
export const TAKEN_ELEMENTS = 4;
