import { DeviceError } from '../errors/coded-error.ts';
import type { ErrorCode } from '../errors/error-code.ts';
import type { Transport } from './transport.ts';

/** The time in milliseconds that a driver gives a device for a reset, a suspension or the reset of a queue. */
export const DEVICE_TIMEOUT_MS = 5000;

/**
 * Waits until `isDone`, which asks the device, returns true. Throws {@link DeviceError} with `code` when `timeoutMs`
 * passed; `what` completes the sentence "the device did not ...".
 */
export function awaitDevice(
  transport: Transport,
  isDone: () => boolean,
  timeoutMs: number,
  code: ErrorCode,
  what: () => string,
): void {
  const deadline = performance.now() + timeoutMs;
  while (!isDone()) {
    if (performance.now() > deadline) throw new DeviceError(code, `the device did not ${what()} in ${timeoutMs} ms`);
    transport.wait(1);
  }
}

/** A word that no thread notifies, so a wait on it always runs into its timeout. */
const UNNOTIFIED = new Int32Array(new SharedArrayBuffer(4));

/**
 * Blocks this thread, event loop included, for a time that may be shorter than that of a timer: between two looks at
 * memory that another process writes.
 */
export function nap(milliseconds: number): void {
  Atomics.wait(UNNOTIFIED, 0, 0, milliseconds);
}
