import { CodedError, messageOf } from '@virtio-platform/core';
import { errorCode, isRecord } from '../source/unknown-value.ts';

/** What to do about an errno. */
const HINTS: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full: make room, or set TMPDIR to a folder on another one',
  EDQUOT: 'the quota of this user is used up: make room, or set TMPDIR to a folder on another disk',
  EROFS: 'the disk can only be read: set TMPDIR to a folder that this user may write to',
  EACCES: 'this user may not do that: correct the path, or its permissions',
  EPERM: 'this user may not do that: correct the path, or its permissions',
  EISDIR: 'the path is a folder: name a file',
  ENOTDIR: 'a part of the path is a file: name a folder',
  ENOENT: 'correct the path; TMPDIR too has to name a folder that is there',
  EMFILE: 'raise the limit of open files (ulimit -n)',
  ENFILE: 'this computer has too many open files: end other programs',
  ENOMEM: 'end other programs, or set machine.memory lower',
};

/**
 * The coded error of something that the operating system or the JavaScript engine refused: `ERR_SYSCALL` for a system
 * call that Node made, `ERR_MACHINE_MEMORY` for memory that it did not get; `undefined` for anything else. `where`
 * completes "in ...".
 */
export function hostError(cause: unknown, where: string): CodedError | undefined {
  const call = isRecord(cause) ? cause['syscall'] : undefined;
  const errno = errorCode(cause);
  if (typeof call === 'string' && errno !== undefined) {
    const hint = HINTS[errno] ?? 'the message has the system call and its errno';
    return new CodedError('ERR_SYSCALL', `${messageOf(cause)}, in ${where}`, { hint, cause });
  }
  if (cause instanceof RangeError && /\barray buffer\b|typed array length|WebAssembly\.Memory/i.test(cause.message)) {
    return new CodedError('ERR_MACHINE_MEMORY', `there is not so much memory: ${cause.message}, in ${where}`, {
      hint: 'set machine.memory lower: this computer or this version of Node does not give that much in one piece',
      cause,
    });
  }
  return undefined;
}
