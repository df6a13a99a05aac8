import { VIRTIO_CONSOLE_F_MULTIPORT } from '@virtio-platform/core/features';
import { CONSOLE_DRIVER_FEATURES, ConsoleDriver, consoleQueues, readConsoleConfig } from '@virtio-platform/devices';
import type { DriverContext, DriverHalf, DriverType } from '../driver-half.ts';
import { Echo, echoOptions } from '../workload/echo.ts';
/** Drives a console: an echo over all of its ports. */
export const CONSOLE_TYPE: DriverType = {
  features: CONSOLE_DRIVER_FEATURES,
  legacyUsedLength: 'clamp',
  queues(transport, accepted, byteOrder) {
    const { ports } = readConsoleConfig(transport, accepted, byteOrder);
    return consoleQueues(ports, accepted.has(VIRTIO_CONSOLE_F_MULTIPORT));
  },
  open: openConsole,
};

function openConsole(context: DriverContext): DriverHalf {
  const { memory, accepted, queues } = context;
  const hasControl = accepted.has(VIRTIO_CONSOLE_F_MULTIPORT);
  const driver = new ConsoleDriver(memory, queues, {
    ports: (queues.length - (hasControl ? 2 : 0)) / 2,
    hasControl,
    ...echoOptions(context),
  });
  return new Echo(context, driver);
}
