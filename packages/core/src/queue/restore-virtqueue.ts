import type { DeviceAddressSpace } from '../address-space/device-address-space.ts';
import type { DmaMapping } from '../dma/dma-mapping.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';
import { checkDeviceQueueState } from './device-queue-state.ts';
import type { DeviceQueue } from './device-queue.ts';
import { PackedDeviceQueue } from './packed-device-queue.ts';
import { PackedVirtqueue } from './packed-virtqueue.ts';
import { demand } from './queue-state.ts';
import type { RingMemory } from './ring-memory.ts';
import { SplitDeviceQueue, type SplitDeviceQueueOptions } from './split-device-queue.ts';
import { SplitVirtqueue, type SplitVirtqueueOptions } from './split-virtqueue.ts';
import { checkVirtqueueState } from './virtqueue-state.ts';
import type { Virtqueue } from './virtqueue.ts';

/**
 * Goes on where a driver's end was saved: `state` is what `Virtqueue.save` gave, `ring` the memory of its ring, of which the new
 * queue becomes the owner, and `mapping` the one it had, in which what the device has is still mapped. Throws {@link CodedError}
 * `ERR_QUEUE_STATE` for a state that no queue with these options can have.
 */
export function restoreVirtqueue(
  state: unknown,
  memory: GuestMemory,
  mapping: DmaMapping,
  ring: RingMemory,
  options: Omit<SplitVirtqueueOptions, 'size'>,
): Virtqueue {
  const checked = checkVirtqueueState(state);
  const { layout, size, buffers, batchEnd, added } = checked;
  demand(ring.addresses.size === size, `its ring has ${ring.addresses.size} entries, not ${size}`);
  const tableEntries = Math.min(options.indirect, size);
  demand(checked.tableEntries === tableEntries, `its tables have ${checked.tableEntries} entries, not ${tableEntries}`);
  const mapped = buffers.flatMap(({ segments }) => segments).filter((segment) => segment.mapped >= 0).length;
  demand(
    mapped <= mapping.statistics.live,
    `${mapped} segments are mapped, in a mapping of ${mapping.statistics.live}`,
  );
  if (options.inOrder === true) {
    const isWhole = buffers.every(({ addedAt }, i) => (added - addedAt) >>> 0 === buffers.length - i);
    demand(isWhole, 'with IN_ORDER the device has the buffers added last');
  } else demand(batchEnd < 0, 'without IN_ORDER there are no batches');
  return layout === 'packed'
    ? new PackedVirtqueue(memory, mapping, { ...options, size }, { state: checked, ring })
    : new SplitVirtqueue(memory, mapping, { ...options, size }, { state: checked, ring });
}

/**
 * Goes on where a device's end was saved: `state` is what `DeviceQueue.save` gave. Buffers in flight are in flight still; the
 * device half that has them knows what they are. Throws {@link CodedError} `ERR_QUEUE_STATE`, and `RangeError` for a ring that
 * its layout forbids.
 */
export function restoreDeviceQueue(
  state: unknown,
  space: DeviceAddressSpace,
  options: Omit<SplitDeviceQueueOptions, 'addresses'>,
): DeviceQueue {
  const checked = checkDeviceQueueState(state);
  const { layout, size, words } = checked;
  const restored = { ...options, addresses: { size, words: Uint32Array.from(words) } };
  return layout === 'packed'
    ? new PackedDeviceQueue(space, restored, checked)
    : new SplitDeviceQueue(space, restored, checked);
}
