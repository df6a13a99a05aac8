/**
 * The console: driver half, device half, and the workloads over it (specification 1.4 section 5.3).
 *
 * @packageDocumentation
 */
import {
  defineDeviceType,
  PLUGIN_API_VERSION,
  type DeviceTypePlugin,
  type DriverContext,
  type QemuDevice,
} from '@virtio-platform/core';
import { echoWorkloads } from '@virtio-platform/device-kit';
import { CONSOLE_CONFIG, readConsoleConfig } from './console-config.ts';
import { ConsoleDevice } from './console-device.ts';
import { CONSOLE_DRIVER_FEATURES, ConsoleDriver, consoleQueues } from './console-driver.ts';
import { CONSOLE_FEATURES, VIRTIO_CONSOLE_F_MULTIPORT } from './console-features.ts';
import { CONSOLE_SETTINGS, type ConsoleSettings } from './console-settings.ts';

export * from './console-config.ts';
export * from './console-device.ts';
export * from './console-driver.ts';
export * from './console-features.ts';
export * from './console-settings.ts';
export * from './layout.ts';

/** Queue size that the device half supports at most, as QEMU's. */
const MAX_QUEUE_SIZE = 1024;

function openDriver(context: DriverContext): ConsoleDriver {
  const { memory, accepted, queues } = context;
  const hasControl = accepted.has(VIRTIO_CONSOLE_F_MULTIPORT);
  const ports = (queues.length - (hasControl ? 2 : 0)) / 2;
  return new ConsoleDriver(memory, queues, { ...context, ports, hasControl });
}

/** QEMU's ports give back what is written to them, as those of the device half do. */
const qemu: QemuDevice<ConsoleSettings> = {
  arguments({ ports }, resources) {
    const lines = Array.from({ length: ports }, (_, port) => [
      '-chardev',
      `pipe,id=line${port},path=/proc/self/fd/${resources.loopback('stream')}`,
      '-device',
      JSON.stringify({ driver: 'virtconsole', bus: 'serial.0', nr: port, chardev: `line${port}` }),
    ]);
    return { device: { driver: 'virtio-serial-pci', id: 'serial', max_ports: ports }, after: lines.flat() };
  },
};

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
  model: ({ columns, rows, ports }, byteOrder) =>
    new ConsoleDevice({ columns, rows, ports, queueSize: MAX_QUEUE_SIZE, byteOrder }),
  qemu,
  vhostUser: { queues: 2, counted: 1, config: 'of-features', drains: false },
});

export default plugin;
