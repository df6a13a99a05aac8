import { DeviceError } from '../errors/coded-error.ts';
import { statusNames } from './device-status.ts';
import type { Transport } from './transport.ts';

const RESET_TIMEOUT_MS = 5000;

/**
 * Resets the device and waits until it confirms by a status of 0 (specification 1.4 section 2.4.2): only then is memory the
 * driver's again. Throws {@link DeviceError} `ERR_DEVICE_RESET_TIMEOUT`.
 */
export function resetDevice(transport: Transport, timeoutMs: number = RESET_TIMEOUT_MS): void {
  transport.writeStatus(0);
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const status = transport.readStatus();
    if (status === 0) return;
    if (performance.now() > deadline) {
      throw new DeviceError(
        'ERR_DEVICE_RESET_TIMEOUT',
        `the device did not confirm a reset in ${timeoutMs} ms; status ${statusNames(status)}`,
      );
    }
    transport.wait(1);
  }
}
