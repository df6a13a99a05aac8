import { HostError } from '../libc.ts';

const HINTS: Readonly<Record<string, string>> = {
  ENOENT: 'set TMPDIR to a folder that is there',
  ENOTDIR: 'set TMPDIR to a folder that is there',
  EACCES: 'set TMPDIR to a folder that this user may write to',
  EROFS: 'set TMPDIR to a folder that this user may write to',
  ENOSPC: 'make room on the disk, or set TMPDIR to a folder on another one',
  EDQUOT: 'make room on the disk, or set TMPDIR to a folder on another one',
  EMFILE: 'raise the limit of open files (ulimit -n)',
};

/** The error of a call of `node:fs` that failed for a temporary file: `ERR_SYSCALL`. `doing` completes "cannot ...". */
export function fileSystemError(cause: unknown, doing: string): HostError {
  const { syscall = 'a call', code: errno = 'no errno' } =
    cause instanceof Error ? (cause as NodeJS.ErrnoException) : {};
  return new HostError('ERR_SYSCALL', `cannot ${doing}: ${syscall}: ${errno}`, {
    syscall,
    errno,
    hint: HINTS[errno] ?? 'TMPDIR names the folder for temporary files; /tmp without it',
    cause,
  });
}
