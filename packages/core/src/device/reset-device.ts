import { awaitDevice, DEVICE_TIMEOUT_MS } from './await-device.ts';
import { readDeviceStatus, statusNames } from './device-status.ts';
import type { Transport } from './transport.ts';

/**
 * Resets the device and waits until it confirms by a status of 0 (specification 1.4 section 2.4.2): only then is memory
 * the driver's again. Throws {@link DeviceError} `ERR_DEVICE_RESET_TIMEOUT`.
 */
export function resetDevice(transport: Transport, timeoutMs: number = DEVICE_TIMEOUT_MS): void {
  let status = 0;
  transport.writeStatus(0);
  awaitDevice(
    transport,
    () => (status = readDeviceStatus(transport)) === 0,
    timeoutMs,
    'ERR_DEVICE_RESET_TIMEOUT',
    () => `confirm a reset (status ${statusNames(status)})`,
  );
}

/**
 * Resets one queue and waits until the device confirms (specification 1.4 section 2.6.1); the others go on. Only then
 * may the driver take the queue's buffers back, and enable it again, also with another size. Needs RING_RESET. Throws
 * {@link DeviceError} `ERR_DEVICE_RESET_TIMEOUT`.
 */
export function resetQueue(transport: Transport, queue: number, timeoutMs: number = DEVICE_TIMEOUT_MS): void {
  transport.resetQueue(queue);
  awaitDevice(
    transport,
    () => transport.isQueueReset(queue),
    timeoutMs,
    'ERR_DEVICE_RESET_TIMEOUT',
    () => `confirm the reset of queue ${queue}`,
  );
}
