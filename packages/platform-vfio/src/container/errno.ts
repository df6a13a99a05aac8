/** Errors as the kernel gives them, negated (asm-generic/errno-base.h, asm-generic/errno.h). */
export const EPERM = -1;
export const ENOENT = -2;
export const ENXIO = -6;
export const ENOMEM = -12;
export const EFAULT = -14;
export const EBUSY = -16;
export const EEXIST = -17;
export const EINVAL = -22;
export const ENOTTY = -25;
export const ENOSPC = -28;
export const EOVERFLOW = -75;
export const EOPNOTSUPP = -95;
export const EADDRINUSE = -98;

const NAMES: ReadonlyMap<number, string> = new Map([
  [EPERM, 'EPERM'],
  [ENOENT, 'ENOENT'],
  [ENXIO, 'ENXIO'],
  [ENOMEM, 'ENOMEM'],
  [EFAULT, 'EFAULT'],
  [EBUSY, 'EBUSY'],
  [EEXIST, 'EEXIST'],
  [EINVAL, 'EINVAL'],
  [ENOTTY, 'ENOTTY'],
  [ENOSPC, 'ENOSPC'],
  [EOVERFLOW, 'EOVERFLOW'],
  [EOPNOTSUPP, 'EOPNOTSUPP'],
  [EADDRINUSE, 'EADDRINUSE'],
]);

/** The name of a negated errno, for messages. */
export function errnoName(result: number): string {
  return NAMES.get(result) ?? `errno ${-result}`;
}
