import type { DriverLoad } from '@virtio-platform/session';

/** The part of guest memory that the buffers of a client may take, unless the program says how many it wants. */
const MEMORY_SHARE = 0.25;
const SECTOR_BYTES = 512;

/** What a client would like to have in flight. */
export interface WantedLoad {
  /** What the program says; `undefined` where it leaves that to the client. */
  readonly depth?: number | undefined;
  readonly bytes?: number | undefined;
  /** What the client takes where guest memory has room for it. */
  readonly usualDepth: number;
  readonly usualBytes: number;
}

/**
 * How much a driver half has in flight, with at most `entries` requests and so many bytes of guest memory: what the
 * program says, and otherwise what fits a share of the memory. Bytes that are chosen are whole sectors.
 */
export function fitLoad(wanted: WantedLoad, entries: number, memoryBytes: number): DriverLoad {
  const { usualBytes } = wanted;
  const most = Math.floor((memoryBytes * MEMORY_SHARE) / 4 / SECTOR_BYTES) * SECTOR_BYTES;
  const bytes = wanted.bytes ?? Math.max(SECTOR_BYTES, Math.min(usualBytes, most));
  return { depth: fitDepth(wanted, bytes, entries, memoryBytes), bytes };
}

/** The depth of {@link fitLoad}, where each request takes `requestBytes` of guest memory. */
export function fitDepth(
  { depth, usualDepth }: Pick<WantedLoad, 'depth' | 'usualDepth'>,
  requestBytes: number,
  entries: number,
  memoryBytes: number,
): number {
  const fitting = Math.floor((memoryBytes * MEMORY_SHARE) / requestBytes);
  return Math.min(depth ?? Math.max(1, Math.min(usualDepth, fitting)), entries);
}
