import type { ByteOrder, QueueLayout } from '@virtio-platform/core/queue';

/**
 * A golden vector: what two ends do to a queue, and the bytes of its areas after each operation. See `vectors/*.json`.
 */
export interface RingVector {
  readonly description: string;
  readonly configuration: RingVectorConfiguration;
  /** Device address of each area, in hexadecimal. `tables` only where there are indirect tables. */
  readonly addresses: RingVectorAreas;
  readonly steps: readonly RingVectorStep[];
}

/** The ring of a vector: layout, size and features. */
export interface RingVectorConfiguration {
  readonly layout: QueueLayout;
  /** Entries of the queue. */
  readonly size: number;
  readonly byteOrder: ByteOrder;
  /** Whether RING_EVENT_IDX was negotiated. */
  readonly eventIdx: boolean;
  /** Whether IN_ORDER was negotiated: one used entry may stand for several buffers. */
  readonly inOrder: boolean;
  /** Entries of each indirect table, or 0 when INDIRECT_DESC was not negotiated. */
  readonly indirect: number;
  /** Split only: one contiguous queue whose device area is aligned to 4096, as on the legacy interface. */
  readonly legacyLayout: boolean;
}

/** Something for each area: its device address, or its bytes, both in hexadecimal. */
export interface RingVectorAreas {
  /** The descriptor table, or the descriptor ring. */
  readonly descriptor: string;
  /** The available ring, or the driver's event suppression structure. */
  readonly driver: string;
  /** The used ring, or the device's event suppression structure. */
  readonly device: string;
  /** The indirect tables, one after the other: that of head or buffer id 0 first. */
  readonly tables?: string;
}

/** One operation of a vector, with its outcome and the bytes of memory after it. */
export interface RingVectorStep {
  readonly operation: RingOperation;
  readonly outcome: RingOutcome;
  /** The bytes of every area after the operation. */
  readonly areas: RingVectorAreas;
}

/** One part of a buffer. */
export interface RingVectorSegment {
  /** Device address, in hexadecimal: 64 bits do not fit in a JSON number. */
  readonly address: string;
  /** Bytes. */
  readonly length: number;
  /** Whether the device writes it, instead of reading. */
  readonly writable: boolean;
}

/** An operation of one end of the ring. */
export type RingOperation =
  | { readonly end: 'driver'; readonly name: 'add'; readonly segments: readonly RingVectorSegment[] }
  | { readonly end: 'driver'; readonly name: 'publish' }
  | { readonly end: 'driver'; readonly name: 'takeUsed'; readonly max: number }
  | { readonly end: 'device'; readonly name: 'pop' }
  | { readonly end: 'device'; readonly name: 'push'; readonly id: number; readonly written: number }
  | { readonly end: 'device'; readonly name: 'flush' }
  | { readonly end: 'driver' | 'device'; readonly name: 'enableNotifications' | 'disableNotifications' }
  /** Add, publish, pop, push, flush and takeUsed, `count` times: brings an index to its wrap. */
  | {
      readonly end: 'both';
      readonly name: 'roundTrips';
      readonly count: number;
      readonly segments: readonly RingVectorSegment[];
      readonly written: number;
    };

/**
 * What an operation found out. Each field belongs to the operations named with it; other operations have an empty
 * outcome.
 */
export interface RingOutcome {
  /** `add`, `pop`: the head descriptor of a split buffer, the id of a packed one. Absent when `pop` finds nothing. */
  readonly id?: number;
  /** `pop`: the buffer, indirect tables resolved. */
  readonly segments?: readonly RingVectorSegment[];
  /** `publish`, `flush`: whether the other end asked to be notified. */
  readonly notify?: boolean;
  /** `takeUsed`: the buffers that came back, in order. */
  readonly used?: readonly { readonly id: number; readonly written: number }[];
  /** `enableNotifications`: whether nothing had arrived yet. */
  readonly empty?: boolean;
}
