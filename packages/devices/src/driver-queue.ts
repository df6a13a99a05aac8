import type { DmaMapping, Virtqueue } from '@virtio-platform/core';

/** A queue for a driver half, with the mapping that is its own. */
export interface DriverQueue {
  readonly queue: Virtqueue;
  readonly mapping: DmaMapping;
}
