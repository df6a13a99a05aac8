import { DeviceError } from '@virtio-platform/core';
import { VIRTIO_BLK_F_RO } from '@virtio-platform/core/features';
import { BLOCK_DRIVER_FEATURES, BlockDriver, readBlockConfig, type BlockConfig } from '@virtio-platform/devices';
import type { DriverContext, DriverHalf, DriverType } from '../driver-half.ts';
import { WriteReadVerify } from '../workload/write-read-verify.ts';
/** Drives a block device: one driver for each queue, up to the depth of the workload. */
export const BLOCK_TYPE: DriverType = {
  features: BLOCK_DRIVER_FEATURES,
  legacyUsedLength: 'ignore',
  queues: (transport, accepted, byteOrder) =>
    Array.from({ length: readBlockConfig(transport, accepted, byteOrder).queues }, (_, index) => index),
  open: openBlock,
};

function openBlock(context: DriverContext): DriverHalf {
  const config = readBlockConfig(context.transport, context.accepted, context.byteOrder);
  // Section 5.2.5: writes fail where the device sets the bit, whatever the driver accepts.
  if (config.readOnly || context.transport.readDeviceFeatures().has(VIRTIO_BLK_F_RO)) {
    const problem = 'the device is read-only (BLK_RO, virtio 1.4 §5.2.5), and the workload writes';
    throw new DeviceError('ERR_DEVICE_READ_ONLY', problem, { hint: 'make the disk writable' });
  }
  const drivers: BlockDriver[] = [];
  try {
    // The depth is that of the device: with more queues than requests at once, the last queues have nothing to do.
    const count = Math.min(context.queues.length, context.profile.workload.depth);
    for (let lane = 0; lane < count; lane++) drivers.push(openDriver(context, config, lane, count));
    return new WriteReadVerify(context, drivers, config.capacity);
  } catch (error) {
    for (const driver of drivers) driver.dispose();
    throw error;
  }
}

/** The driver of one queue, with its share of the requests that are in flight at once. */
function openDriver(context: DriverContext, config: BlockConfig, lane: number, count: number): BlockDriver {
  const { profile, memory, byteOrder, notify } = context;
  const { queue, mapping } = context.queues[lane]!;
  const { depth, blockSize } = profile.workload;
  const share = Math.floor(depth / count) + (lane < depth % count ? 1 : 0);
  return new BlockDriver(memory, queue, mapping, config, {
    depth: Math.min(share, queue.size),
    maxBytes: blockSize,
    buffers: profile.driver.buffers,
    byteOrder,
    notify,
  });
}
