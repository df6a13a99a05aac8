import { awaitDevice, DEVICE_TIMEOUT_MS } from './await-device.ts';
import { DeviceStatus, readDeviceStatus, statusNames } from './device-status.ts';
import { checkDevice } from './initialize-device.ts';
import type { Transport } from './transport.ts';

const BOTH = DeviceStatus.Suspend | DeviceStatus.DriverOk;

/**
 * Suspends a device that runs, and waits until it says so: SUSPEND set and DRIVER_OK clear (specification 1.4 section
 * 3.4). Until {@link resumeDevice} the driver may neither make buffers available nor notify nor write configuration.
 * Needs SUSPEND. Throws {@link DeviceError} `ERR_DEVICE_SUSPEND_TIMEOUT`, or `ERR_DEVICE_NEEDS_RESET` from a device
 * that cannot.
 */
export function suspendDevice(transport: Transport, timeoutMs: number = DEVICE_TIMEOUT_MS): void {
  move(transport, DeviceStatus.Suspend, timeoutMs, 'suspend');
}

/**
 * Lets a suspended device go on, and waits until it does: SUSPEND clear and DRIVER_OK set. Throws as
 * {@link suspendDevice}.
 */
export function resumeDevice(transport: Transport, timeoutMs: number = DEVICE_TIMEOUT_MS): void {
  move(transport, DeviceStatus.DriverOk, timeoutMs, 'resume');
}

/** Sets one of the two bits, for which the device clears the other. */
function move(transport: Transport, bit: number, timeoutMs: number, what: string): void {
  let status = readDeviceStatus(transport);
  transport.writeStatus(status | bit);
  awaitDevice(
    transport,
    () => {
      checkDevice(transport);
      status = readDeviceStatus(transport);
      return (status & BOTH) === bit;
    },
    timeoutMs,
    'ERR_DEVICE_SUSPEND_TIMEOUT',
    () => `${what} (status ${statusNames(status)})`,
  );
}
