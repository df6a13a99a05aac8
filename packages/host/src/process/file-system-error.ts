import { errnoHint } from '@virtio-platform/core';
import { HostError } from '../libc.ts';

/** The error of a call of `node:fs` that failed for a temporary file: `ERR_SYSCALL`. `doing` completes "cannot ...". */
export function fileSystemError(cause: unknown, doing: string): HostError {
  const { syscall = 'a call', code: errno = 'no errno' } =
    cause instanceof Error ? (cause as NodeJS.ErrnoException) : {};
  return new HostError('ERR_SYSCALL', `cannot ${doing}: ${syscall}: ${errno}`, {
    syscall,
    errno,
    hint: errnoHint(errno) ?? 'TMPDIR names the folder for temporary files; /tmp without it',
    cause,
  });
}
