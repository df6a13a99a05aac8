import { DESCRIPTOR_SIZE, RING_EVENT_SIZE, splitLayout, type QueueLayout } from '@virtio-platform/core/queue';

/** Bytes of the descriptor, driver and device area of a ring, each of which a front-end places by itself. */
export function ringAreaBytes(
  layout: QueueLayout,
  size: number,
): readonly [descriptor: number, driver: number, device: number] {
  if (layout === 'packed') return [DESCRIPTOR_SIZE * size, RING_EVENT_SIZE, RING_EVENT_SIZE];
  const { descriptorBytes, driverBytes, deviceBytes } = splitLayout(size, 4);
  return [descriptorBytes, driverBytes, deviceBytes];
}
