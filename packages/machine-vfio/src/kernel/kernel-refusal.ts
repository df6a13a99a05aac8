import { getSystemErrorName } from 'node:util';
import { CodedError } from '@virtio-platform/core';

/** The name of a negated errno: `EPERM`. */
export function errnoOf(result: number): string {
  return getSystemErrorName(result);
}

/** The kernel does not hand out the device. `doing` completes "cannot ..."; `result` is the negated errno. */
export function kernelRefusal(doing: string, result: number, hint?: string): CodedError {
  return new CodedError('ERR_MACHINE_START', `cannot ${doing}: ${errnoOf(result)}`, { hint });
}

/** Passes a result through, or throws {@link kernelRefusal} for a negated errno. */
export function accepted(result: number, doing: string, hint?: string): number {
  if (result < 0) throw kernelRefusal(doing, result, hint);
  return result;
}
