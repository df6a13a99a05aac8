import { ENTROPY_DRIVER_FEATURES, EntropyDriver } from '@virtio-platform/devices';
import type { DriverContext, DriverHalf, DriverType } from '../driver-half.ts';
import { ReadEntropy } from '../workload/read-entropy.ts';
/** Drives an entropy device: reads of one length. */
export const ENTROPY_TYPE: DriverType = {
  features: ENTROPY_DRIVER_FEATURES,
  legacyUsedLength: 'clamp',
  queues: () => [0],
  open: openEntropy,
};

function openEntropy(context: DriverContext): DriverHalf {
  const { profile, memory } = context;
  const { queue, mapping } = context.queues[0]!;
  const { depth, blockSize } = profile.workload;
  const driver = new EntropyDriver(memory, queue, mapping, {
    depth: Math.min(depth, queue.size),
    bytes: blockSize,
    buffers: profile.driver.buffers,
  });
  return new ReadEntropy(context, driver);
}
