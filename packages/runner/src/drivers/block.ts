import { BLOCK_DRIVER_FEATURES, BlockDriver, readBlockConfig } from '@virtio-platform/devices';
import type { DriverContext, DriverHalf, DriverType } from '../driver-half.ts';
import { WriteReadVerify } from '../write-read-verify.ts';

export const BLOCK_TYPE: DriverType = {
  features: BLOCK_DRIVER_FEATURES,
  legacyUsedLength: 'ignore',
  queues: () => [0],
  open: openBlock,
};

function openBlock(context: DriverContext): DriverHalf {
  const { profile, memory, transport, accepted, byteOrder } = context;
  const { queue, mapping } = context.queues[0]!;
  const config = readBlockConfig(transport, accepted, byteOrder);
  const { depth, blockSize } = profile.workload;
  const driver = new BlockDriver(memory, queue, mapping, config, {
    depth: Math.min(depth, queue.size),
    maxBytes: blockSize,
    buffers: profile.driver.buffers,
    byteOrder,
  });
  return new WriteReadVerify(context, driver, config.capacity);
}
