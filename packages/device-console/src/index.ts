/**
 * The console: driver half, device half, and the workloads over it (specification 1.4 section 5.3).
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
import { type EchoOptions, echoWorkloads } from '@virtio-platform/device-kit';
import { byteSize } from '@virtio-platform/options';
import { z } from 'zod';
import { CONSOLE_CASES } from './conform/console-cases.ts';
import { CONSOLE_CONFIG, readConsoleConfig } from './console-config.ts';
import { ConsoleDevice } from './console-device.ts';
import { CONSOLE_DRIVER_FEATURES, ConsoleDriver, consoleQueues } from './console-driver.ts';
import { CONSOLE_FEATURES, VIRTIO_CONSOLE_F_MULTIPORT } from './console-features.ts';
import { CONSOLE_SETTINGS, type ConsoleSettings } from './console-settings.ts';
import { MixedConsole, type MixedConsoleOptions } from './mixed-console.ts';
import { qemuConsole } from './qemu-console.ts';
import { checkConsoleRequest } from './check-console-request.ts';

export * from './console-config.ts';
export * from './console-device.ts';
export * from './console-driver.ts';
export * from './console-events.ts';
export * from './console-features.ts';
export { ConsolePort } from './console-port.ts';
export * from './console-settings.ts';
export { writeEmergency } from './emergency.ts';
export * from './layout.ts';
export { MixedConsole, type MixedConsoleOptions } from './mixed-console.ts';
export type { ConsoleChange, ConsolePortSettings } from './port-settings.ts';

/** Queue size that the device half supports at most, as QEMU's. */
const MAX_QUEUE_SIZE = 1024;

function openDriver(context: DriverContext): ConsoleDriver {
  const { memory, accepted, queues } = context;
  const hasControl = accepted.has(VIRTIO_CONSOLE_F_MULTIPORT);
  const ports = (queues.length - (hasControl ? 2 : 0)) / 2;
  return new ConsoleDriver(memory, queues, { ...context, ports, hasControl, device: context });
}

/** A workload over ports that stay as they are. */
function steady(
  workload: ReturnType<typeof echoWorkloads>['echo'],
): WorkloadType<ConsoleSettings, ConsoleDriver, EchoOptions> {
  return defineWorkload<ConsoleSettings, ConsoleDriver, EchoOptions>({
    ...workload,
    problem({ changes }) {
      if (changes.every(({ resize }) => resize !== undefined)) return undefined;
      return { key: 'kind', message: 'must be mixed: the ports of this device change, and no other workload follows' };
    },
  });
}

const echo = echoWorkloads({ least: 1 });
const share = z.number().min(0).max(1);

const mixed: WorkloadType<ConsoleSettings, ConsoleDriver, MixedConsoleOptions> = defineWorkload<
  ConsoleSettings,
  ConsoleDriver,
  MixedConsoleOptions
>({
  summary: 'send, receive, open, close and hot-plug at random against a model of each port',
  options: z.strictObject({
    blockSize: byteSize().describe('Bytes of the longest message: 1KiB.'),
    closes: share.default(0.02).describe('The part of the operations that close a port, 0 to 1; without it 0.02.'),
    emergencies: share
      .default(0.02)
      .describe('The part of the operations that write an emergency character, 0 to 1; without it 0.02.'),
  }),
  bytes: ({ blockSize }) => blockSize,
  recovers: false,
  open: (driver: ConsoleDriver, context) => new MixedConsole(driver, context),
});

const plugin: DeviceTypePlugin<ConsoleSettings, ConsoleDriver> = defineDeviceType<ConsoleSettings, ConsoleDriver>({
  kind: 'device',
  name: 'console',
  apiVersion: PLUGIN_API_VERSION,
  id: 3,
  features: CONSOLE_FEATURES,
  options: CONSOLE_SETTINGS,
  config: CONSOLE_CONFIG,
  driver: {
    features: CONSOLE_DRIVER_FEATURES,
    usedLength: { legacy: 'clamp' },
    queues(device) {
      const { ports } = readConsoleConfig(device);
      return consoleQueues(ports, device.accepted.has(VIRTIO_CONSOLE_F_MULTIPORT));
    },
    open: openDriver,
  },
  workloads: { echo: steady(echo.echo), stream: steady(echo.stream), mixed },
  model: (settings, byteOrder) => new ConsoleDevice({ ...settings, queueSize: MAX_QUEUE_SIZE, byteOrder }),
  qemu: qemuConsole,
  cases: CONSOLE_CASES,
  checkRequest: checkConsoleRequest,
  vhostUser: { queues: 2, counted: 1, config: 'of-features', drains: false },
});

export default plugin;
