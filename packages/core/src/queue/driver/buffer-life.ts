import type { BufferRecord } from './ring-inspection.ts';

/**
 * What the driver's end still knows of one buffer, which the device has or had. A buffer is forgotten when its id or
 * one of its descriptors is used again. Positions run free in 32 bits.
 */
export interface BufferLife {
  readonly id: number;
  /** Buffers added before it. */
  readonly addedAt: number;
  /** Its segments, and those that the device reads. */
  readonly segments: number;
  readonly readable: number;
  /** Bytes of all segments. */
  readonly bytes: number;
  /** Of the first segment. */
  readonly deviceAddress: bigint;
  /** Buffers that came back before it; `undefined` while the device has it. */
  readonly returnedAt: number | undefined;
  /** Bytes that the device wrote, once it came back. */
  readonly written: number;
}

/** What is known of a buffer beside its record. */
interface Known {
  /** Entries freed before its own, relative to all that were freed; of a buffer that came back. */
  readonly freed: number;
  readonly readable: number;
  readonly written: number;
}

/** The lives of the buffers with these records, of which the last of `returned` came back. Cold. */
export function livesOf(
  records: readonly BufferRecord[],
  returned: number,
  knownOf: (id: number) => Known,
): BufferLife[] {
  // Of those that came back, the records are of the last ones: entries are used again in the order of their return.
  const back = records.filter(({ isOutstanding }) => !isOutstanding);
  const ordered = back.toSorted((a, b) => knownOf(a.id).freed - knownOf(b.id).freed);
  const returnedAt = new Map(ordered.map(({ id }, i) => [id, (returned - back.length + i) | 0]));
  return records.map(({ id, addedAt, segments }) => ({
    id,
    addedAt: addedAt | 0,
    segments: segments.length,
    readable: knownOf(id).readable,
    bytes: segments.reduce((sum, { length }) => sum + length, 0),
    deviceAddress: segments[0]!.address,
    returnedAt: returnedAt.get(id),
    written: returnedAt.has(id) ? knownOf(id).written : 0,
  }));
}
