import type { DeviceAddressSpace } from '../address-space/device-address-space.ts';
import type { DmaMapping } from '../dma/dma-mapping.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';
import type { DeviceQueue } from './device-queue.ts';
import { PackedDeviceQueue } from './packed-device-queue.ts';
import { PackedVirtqueue } from './packed-virtqueue.ts';
import { SplitDeviceQueue, type SplitDeviceQueueOptions } from './split-device-queue.ts';
import { SplitVirtqueue, type SplitVirtqueueOptions } from './split-virtqueue.ts';
import type { Virtqueue } from './virtqueue.ts';

/** Which of the two layouts: whether RING_PACKED was negotiated. */
export type QueueLayout = 'split' | 'packed';

/** Opens the driver's end of a queue, in the layout that was negotiated. Throws {@link DmaError}, and `RangeError` for an impossible size. */
export function openVirtqueue(
  layout: QueueLayout,
  memory: GuestMemory,
  mapping: DmaMapping,
  options: SplitVirtqueueOptions,
): Virtqueue {
  return layout === 'packed'
    ? new PackedVirtqueue(memory, mapping, options)
    : new SplitVirtqueue(memory, mapping, options);
}

/** Opens the device's end of a queue. Throws `RangeError` for a size or an address that its layout forbids. */
export function openDeviceQueue(
  layout: QueueLayout,
  space: DeviceAddressSpace,
  options: SplitDeviceQueueOptions,
): DeviceQueue {
  return layout === 'packed' ? new PackedDeviceQueue(space, options) : new SplitDeviceQueue(space, options);
}
