import type { DmaMapping } from '@virtio-platform/core/dma';
import type { Virtqueue } from '@virtio-platform/core/queue';

/** A queue for a driver half, with the mapping that is its own. */
export interface DriverQueue {
  readonly queue: Virtqueue;
  readonly mapping: DmaMapping;
}
