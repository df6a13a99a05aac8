import { describeValue } from '@virtio-platform/core';

/** Throws `RangeError` for what is no count, `TypeError` for what is no number. `undefined` is the caller's default. */
export function checkCount(name: string, value: number | undefined): void {
  if (value === undefined) return;
  if (typeof value !== 'number') throw new TypeError(`${name} is ${typeof value}, not a number`);
  if (!Number.isSafeInteger(value) || value < 1) throw new RangeError(`${name} ${value} is no whole number from 1 on`);
}

/** Throws `TypeError` for what is no `AbortSignal`, of this realm or another. `undefined` is no signal. */
export function checkSignal(signal: unknown): void {
  if (signal === undefined || (signal instanceof EventTarget && 'aborted' in signal)) return;
  throw new TypeError(`signal is ${describeValue(signal)}, not an AbortSignal`);
}

/** Returns the data of a request. Throws `TypeError` for what is no `Uint8Array`. */
export function checkData(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw new TypeError(`the data is ${typeof value}, not a Buffer or Uint8Array`);
}
