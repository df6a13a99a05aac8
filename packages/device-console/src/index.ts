/**
 * The console: driver half, device half, and the workloads over it (specification 1.4 section 5.3).
 *
 * @packageDocumentation
 */
import { defineDeviceType, PLUGIN_API_VERSION, type DeviceTypePlugin, type DriverContext } from '@virtio-platform/core';
import { echoWorkloads } from '@virtio-platform/device-kit';
import { CONSOLE_CONFIG, readConsoleConfig } from './console-config.ts';
import { ConsoleDevice } from './console-device.ts';
import { CONSOLE_DRIVER_FEATURES, ConsoleDriver, consoleQueues } from './console-driver.ts';
import { CONSOLE_FEATURES, VIRTIO_CONSOLE_F_MULTIPORT } from './console-features.ts';
import { CONSOLE_SETTINGS, type ConsoleSettings } from './console-settings.ts';
import { qemuConsole } from './qemu-console.ts';

export * from './console-config.ts';
export * from './console-device.ts';
export * from './console-driver.ts';
export * from './console-events.ts';
export * from './console-features.ts';
export { ConsolePort } from './console-port.ts';
export * from './console-settings.ts';
export { writeEmergency } from './emergency.ts';
export * from './layout.ts';
export type { ConsoleChange, ConsolePortSettings } from './port-settings.ts';

/** Queue size that the device half supports at most, as QEMU's. */
const MAX_QUEUE_SIZE = 1024;

function openDriver(context: DriverContext): ConsoleDriver {
  const { memory, accepted, queues } = context;
  const hasControl = accepted.has(VIRTIO_CONSOLE_F_MULTIPORT);
  const ports = (queues.length - (hasControl ? 2 : 0)) / 2;
  return new ConsoleDriver(memory, queues, { ...context, ports, hasControl, device: context });
}

const plugin: DeviceTypePlugin<ConsoleSettings, ConsoleDriver> = defineDeviceType({
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
  workloads: echoWorkloads({ least: 1 }),
  model: (settings, byteOrder) => new ConsoleDevice({ ...settings, queueSize: MAX_QUEUE_SIZE, byteOrder }),
  qemu: qemuConsole,
  vhostUser: { queues: 2, counted: 1, config: 'of-features', drains: false },
});

export default plugin;
