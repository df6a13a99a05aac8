import { ContractError, describeValue, DeviceError } from '@virtio-platform/core';
import type { Transport } from '@virtio-platform/core/device';
import type { QueueLayout } from '@virtio-platform/core/queue';

/** Entries of a queue, and the most that it may have. */
export interface QueueSize {
  readonly size: number;
  readonly most: number;
}

/**
 * Asks the device once how long a queue may be, and chooses at most `wanted` entries: a power of two on the split
 * layout, also where the driver asked for a packed ring and the device has none. A legacy device alone says how long
 * its queues are. Throws {@link DeviceError} `ERR_DEVICE_CONFIG` for a queue that is not there or that cannot be, and
 * {@link ContractError} for an answer that is no number.
 */
export function chooseQueueSize(transport: Transport, index: number, layout: QueueLayout, wanted: number): QueueSize {
  const isLegacy = transport.interface === 'legacy';
  const most = transport.maxQueueSize(index);
  if (!Number.isSafeInteger(most) || most < 0)
    throw new ContractError('machine', 'maxQueueSize', `returned ${describeValue(most)}, no number of entries`);
  if (most === 0)
    throw new DeviceError(
      'ERR_DEVICE_CONFIG',
      `the device has no queue ${index}, which its features and configuration imply`,
    );
  const size = fit(layout, isLegacy ? Math.min(most, 32768) : Math.min(wanted, most));
  if (isLegacy && size !== most)
    throw new DeviceError(
      'ERR_DEVICE_CONFIG',
      `the device says that queue ${index} has ${most} entries; a legacy queue has a power of two of them, at most 32768`,
    );
  return { size, most };
}

function fit(layout: QueueLayout, most: number): number {
  return layout === 'packed' ? most : 2 ** Math.floor(Math.log2(most));
}
