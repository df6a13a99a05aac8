import { DeviceError } from '../errors/coded-error.ts';
import type { Transport } from './transport.ts';

/** How long a device may take for what the specification lets it take its time for. */
export const DEVICE_TIMEOUT_MS = 5000;

/**
 * Waits until `isDone`, which asks the device. Throws {@link DeviceError} with `code` when `timeoutMs` passed; `what` completes
 * the sentence "the device did not ...".
 */
export function awaitDevice(
  transport: Transport,
  isDone: () => boolean,
  timeoutMs: number,
  code: string,
  what: () => string,
): void {
  const deadline = performance.now() + timeoutMs;
  while (!isDone()) {
    if (performance.now() > deadline) throw new DeviceError(code, `the device did not ${what()} in ${timeoutMs} ms`);
    transport.wait(1);
  }
}
