import type { DeviceAddressSpace } from '../address-space/device-address-space.ts';
import type { DmaMapping } from '../dma/dma-mapping.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';
import { checkDeviceQueueState } from './device/device-queue-state.ts';
import type { DeviceQueue, DeviceQueueOptions } from './device/device-queue.ts';
import type { RingMemory } from './driver/ring-memory.ts';
import { checkVirtqueueState, type VirtqueueState } from './driver/virtqueue-state.ts';
import type { Virtqueue, VirtqueueOptions } from './driver/virtqueue.ts';
import { PackedDeviceQueue } from './packed/packed-device-queue.ts';
import { PackedVirtqueue } from './packed/packed-virtqueue.ts';
import type { QueueLayout } from './ring/ring-format.ts';
import { checkSaved } from './ring/saved-value.ts';
import { SplitDeviceQueue } from './split/split-device-queue.ts';
import { SplitVirtqueue } from './split/split-virtqueue.ts';

/**
 * Opens the driver's end of a queue, in the layout that was negotiated. Throws {@link DmaError} when the memory is
 * exhausted, and `RangeError` for a size that the layout forbids.
 */
export function openVirtqueue(
  layout: QueueLayout,
  memory: GuestMemory,
  mapping: DmaMapping,
  options: VirtqueueOptions,
): Virtqueue {
  return layout === 'packed'
    ? new PackedVirtqueue(memory, mapping, options)
    : new SplitVirtqueue(memory, mapping, options);
}

/** Opens the device's end of a queue. Throws `RangeError` for a size or an address that its layout forbids. */
export function openDeviceQueue(
  layout: QueueLayout,
  space: DeviceAddressSpace,
  options: DeviceQueueOptions,
): DeviceQueue {
  return layout === 'packed' ? new PackedDeviceQueue(space, options) : new SplitDeviceQueue(space, options);
}

/**
 * Restores a saved driver's end: `state` is what `Virtqueue.save` gave, `ring` the memory of its ring, which the new
 * queue takes over, and `mapping` the one it had, in which the buffers of the device are still mapped. Throws
 * {@link CodedError} `ERR_QUEUE_STATE` for a state that is impossible with these options.
 */
export function restoreVirtqueue(
  state: unknown,
  memory: GuestMemory,
  mapping: DmaMapping,
  ring: RingMemory,
  options: Omit<VirtqueueOptions, 'size'>,
): Virtqueue {
  const checked = checkVirtqueueState(state);
  const { layout, size } = checked;
  checkSaved(ring.addresses.size === size, `its ring has ${ring.addresses.size} entries, not ${size}`);
  checkOptions(checked, options);
  const mapped = checked.buffers.flatMap(({ segments }) => segments).filter((segment) => segment.mapped >= 0).length;
  const { live } = mapping.statistics;
  checkSaved(mapped <= live, `${mapped} of its segments are mapped, but its mapping has only ${live}`);
  return layout === 'packed'
    ? new PackedVirtqueue(memory, mapping, { ...options, size }, { state: checked, ring })
    : new SplitVirtqueue(memory, mapping, { ...options, size }, { state: checked, ring });
}

/** Checks that a queue with these options can have been in this state. */
function checkOptions(state: VirtqueueState, { indirect, inOrder = false }: Omit<VirtqueueOptions, 'size'>): void {
  const { size, buffers, batchEnd, added } = state;
  const tableEntries = Math.min(indirect, size);
  checkSaved(state.tableEntries === tableEntries, `its tables have ${state.tableEntries} entries, not ${tableEntries}`);
  if (!inOrder) return checkSaved(batchEnd < 0, 'without IN_ORDER there are no batches');
  const areNewest = buffers.every(({ addedAt }, i) => (added - addedAt) >>> 0 === buffers.length - i);
  checkSaved(areNewest, 'with IN_ORDER the device has the buffers added last');
}

/**
 * Restores a saved device's end: `state` is what `DeviceQueue.save` gave. Buffers in flight stay in flight; the device
 * half that has them knows their contents. Throws {@link CodedError} `ERR_QUEUE_STATE`, and `RangeError` for a ring
 * that its layout forbids.
 */
export function restoreDeviceQueue(
  state: unknown,
  space: DeviceAddressSpace,
  options: Omit<DeviceQueueOptions, 'addresses'>,
): DeviceQueue {
  const checked = checkDeviceQueueState(state);
  const { layout, size, words } = checked;
  const restored = { ...options, addresses: { size, words: Uint32Array.from(words) } };
  return layout === 'packed'
    ? new PackedDeviceQueue(space, restored, checked)
    : new SplitDeviceQueue(space, restored, checked);
}
