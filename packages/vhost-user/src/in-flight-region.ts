import type { QueueLayout } from '@virtio-platform/core/queue';

/** The value of `version` of a record that was initialized. */
export const IN_FLIGHT_VERSION = 1;
/** What the record of a queue begins at a multiple of. */
const ALIGNMENT = 64;

/** Bytes of the record in front of its entries, and of each entry ("Inflight I/O tracking"). */
const BYTES: Readonly<Record<QueueLayout, readonly [header: number, entry: number]>> = {
  split: [16, 16],
  packed: [32, 32],
};

/** Bytes of the record of a queue with `size` entries, up to the next one. */
export function inFlightQueueBytes(layout: QueueLayout, size: number): number {
  const [header, entry] = BYTES[layout];
  return Math.ceil((header + entry * size) / ALIGNMENT) * ALIGNMENT;
}

/** Offsets of the fields of QueueRegionSplit; both layouts begin alike. */
export const IN_FLIGHT_SPLIT = { version: 8, entries: 10, lastBatchHead: 12, usedIdx: 14, states: 16 } as const;

/** Offsets in an entry of QueueRegionSplit, and its bytes. */
export const IN_FLIGHT_SPLIT_STATE = { inFlight: 0, next: 6, counter: 8, bytes: 16 } as const;

/** Offsets of the fields of QueueRegionPacked. */
export const IN_FLIGHT_PACKED = {
  version: 8,
  entries: 10,
  freeHead: 12,
  oldFreeHead: 14,
  usedIdx: 16,
  oldUsedIdx: 18,
  usedWrap: 20,
  oldUsedWrap: 21,
  states: 32,
} as const;

/** Offsets in an entry of QueueRegionPacked, and its bytes. */
export const IN_FLIGHT_PACKED_STATE = {
  inFlight: 0,
  next: 2,
  last: 4,
  count: 6,
  counter: 8,
  id: 16,
  flags: 18,
  length: 20,
  address: 24,
  bytes: 32,
} as const;
