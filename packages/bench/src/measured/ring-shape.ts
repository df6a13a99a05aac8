import type { DmaRegion } from '@virtio-platform/core/dma';
import type { QueueLayout, ScatterList, VirtqueueOptions } from '@virtio-platform/core/queue';

/** Entries of a queue, unless its size is what is measured: the C references have the same. */
export const QUEUE_SIZE = 256;
/** Requests in flight at once, unless that is one. */
export const DEPTH = 32;
/** The layouts that are measured. */
export const LAYOUTS: readonly QueueLayout[] = ['split', 'packed'];

/** Segments of a request as a block write has them: header, data, status. Bytes. */
export const HEADER_BYTES = 16;
/** Bytes of data of a request. */
export const DATA_BYTES = 512;
/** Bytes of the status of a request. */
export const STATUS_BYTES = 1;
/** Segments of a request: header, data and status. */
export const SEGMENTS = 3;

/**
 * Descriptors of a request where one end or two threads are measured: one that the device writes, or those of a block
 * write.
 */
export type DescriptorCount = 1 | 3;
/** The numbers of descriptors of a request that are measured. */
export const DESCRIPTOR_COUNTS: readonly DescriptorCount[] = [1, 3];

/** The driver's end of a measured ring: with EVENT_IDX, and with indirect tables of so many entries, or without. */
export function driverRing(size: number = QUEUE_SIZE, indirect: 0 | 3 = 0): VirtqueueOptions {
  return { index: 0, size, eventIdx: true, indirect, usedLength: 'strict' };
}

/** Lists a request of so many descriptors in a premapped region of at least 529 bytes. Hot: no allocation. */
export function listRequest(list: ScatterList, region: DmaRegion, descriptors: DescriptorCount): void {
  list.clear();
  if (descriptors === 1) return list.addWritableRegion(region, 0, DATA_BYTES);
  list.addReadableRegion(region, 0, HEADER_BYTES);
  list.addReadableRegion(region, HEADER_BYTES, DATA_BYTES);
  list.addWritableRegion(region, HEADER_BYTES + DATA_BYTES, STATUS_BYTES);
}
