/** Negated errno: operation not permitted (asm-generic/errno-base.h). */
export const EPERM = -1;
/** Negated errno: no such file or directory (asm-generic/errno-base.h). */
export const ENOENT = -2;
/** Negated errno: no such device or address (asm-generic/errno-base.h). */
export const ENXIO = -6;
/** Negated errno: cannot allocate memory (asm-generic/errno-base.h). */
export const ENOMEM = -12;
/** Negated errno: bad address (asm-generic/errno-base.h). */
export const EFAULT = -14;
/** Negated errno: device or resource busy (asm-generic/errno-base.h). */
export const EBUSY = -16;
/** Negated errno: file exists (asm-generic/errno-base.h). */
export const EEXIST = -17;
/** Negated errno: invalid argument (asm-generic/errno-base.h). */
export const EINVAL = -22;
/** Negated errno: inappropriate ioctl for device (asm-generic/errno-base.h). */
export const ENOTTY = -25;
/** Negated errno: no space left on device (asm-generic/errno-base.h). */
export const ENOSPC = -28;
/** Negated errno: value too large for defined data type (asm-generic/errno.h). */
export const EOVERFLOW = -75;
/** Negated errno: operation not supported (asm-generic/errno.h). */
export const EOPNOTSUPP = -95;
/** Negated errno: address already in use (asm-generic/errno.h). */
export const EADDRINUSE = -98;

const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries({
    EPERM,
    ENOENT,
    ENXIO,
    ENOMEM,
    EFAULT,
    EBUSY,
    EEXIST,
    EINVAL,
    ENOTTY,
    ENOSPC,
    EOVERFLOW,
    EOPNOTSUPP,
    EADDRINUSE,
  }).map(([name, value]) => [value, name]),
);

/** The name of a negated errno, for messages: `EINVAL`; of one that is not in this file, `errno 5`. */
export function errnoName(result: number): string {
  return NAMES.get(result) ?? `errno ${-result}`;
}
