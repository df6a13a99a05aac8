import { DeviceError } from '@virtio-platform/core';
import type { Virtqueue } from '@virtio-platform/core/queue';

/**
 * Checks that a request of `segments` segments can be made at all: a chain is no longer than its queue, not even
 * through a table (specification 1.4 section 2.7.5.3.1). Throws {@link DeviceError} `ERR_QUEUE_TOO_SMALL`.
 */
export function checkQueueSize({ index, size }: Virtqueue, segments: number): void {
  if (segments <= size) return;
  throw new DeviceError('ERR_QUEUE_TOO_SMALL', `queue ${index} has ${size} entries, and a request takes ${segments}`, {
    hint: 'enlarge queue.size or the size of the disruption, or make workload.blockSize smaller',
  });
}
