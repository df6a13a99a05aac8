/**
 * The entropy device: driver half, device half, and the workload over it (specification 1.4 section 5.4).
 *
 * @packageDocumentation
 */
import {
  defineDeviceType,
  defineWorkload,
  PLUGIN_API_VERSION,
  type DeviceTypePlugin,
  type DriverContext,
  type WorkloadType,
} from '@virtio-platform/core';
import { byteSize } from '@virtio-platform/options';
import { z } from 'zod';
import { EntropyDevice } from './entropy-device.ts';
import { ENTROPY_CASES } from './conform/entropy-cases.ts';
import { ENTROPY_DRIVER_FEATURES, EntropyDriver } from './entropy-driver.ts';
import { ENTROPY_SETTINGS, type EntropySettings } from './entropy-settings.ts';
import { qemuEntropy } from './qemu-entropy.ts';
import { RandomSource, SeededSource } from './entropy-source.ts';
import { ReadEntropy, type ReadEntropyOptions } from './read-entropy.ts';
import { checkEntropyRequest } from './check-entropy-request.ts';

export * from './entropy-device.ts';
export * from './entropy-driver.ts';
export * from './entropy-limits.ts';
export * from './entropy-settings.ts';
export * from './entropy-source.ts';
export { ReadEntropy, type ReadEntropyOptions } from './read-entropy.ts';

/** Queue size that the device half supports at most, as QEMU's. */
const MAX_QUEUE_SIZE = 1024;

const read: WorkloadType<EntropySettings, EntropyDriver, ReadEntropyOptions> = defineWorkload({
  summary: 'read random bytes, and compare those of a device with a seed',
  options: z.strictObject({ blockSize: byteSize().describe('Bytes of each request: 64B.') }),
  bytes: ({ blockSize }) => blockSize,
  recovers: true,
  open: (driver: EntropyDriver, context) => new ReadEntropy(driver, context),
});

const mixed: WorkloadType<EntropySettings, EntropyDriver, ReadEntropyOptions> = defineWorkload({
  ...read,
  summary: 'read random bytes in requests of all lengths and framings, and compare those of a device with a seed',
  options: z.strictObject({ blockSize: byteSize().describe('Bytes of the longest request: 1KiB.') }),
});

function openDriver({ memory, queues, depth, bytes, buffers }: DriverContext): EntropyDriver {
  const { queue, mapping } = queues[0]!;
  return new EntropyDriver(memory, queue, mapping, { depth: Math.min(depth, queue.size), bytes, buffers });
}

const plugin: DeviceTypePlugin<EntropySettings, EntropyDriver> = defineDeviceType({
  kind: 'device',
  name: 'entropy',
  apiVersion: PLUGIN_API_VERSION,
  id: 4,
  features: { source: 'virtio 1.4 §5.4.3', rows: [] },
  options: ENTROPY_SETTINGS,
  config: {},
  driver: {
    features: ENTROPY_DRIVER_FEATURES,
    usedLength: { legacy: 'clamp' },
    queues: () => [0],
    open: openDriver,
  },
  workloads: { read, mixed },
  model({ seed, ...limits }) {
    const source = seed === undefined ? new RandomSource() : new SeededSource(seed);
    return new EntropyDevice(source, MAX_QUEUE_SIZE, limits);
  },
  qemu: qemuEntropy,
  cases: ENTROPY_CASES,
  checkRequest: checkEntropyRequest,
  vhostUser: { queues: 1, counted: 1, config: 'none', drains: false },
});

export default plugin;
