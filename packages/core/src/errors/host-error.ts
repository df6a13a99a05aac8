import { CodedError } from './coded-error.ts';
import { messageOf } from './message-of.ts';

/** What to do about an errno. */
const HINTS: Readonly<Record<string, string>> = {
  EACCES: 'this user may not do that: correct the path, or its permissions, or set TMPDIR to another folder',
  EPERM: 'this user may not do that: correct the path, or its permissions',
  EROFS: 'the disk can only be read: set TMPDIR to a folder that this user may write to',
  ENOENT: 'correct the path; TMPDIR too has to name a folder that is there',
  ENOTDIR: 'a part of the path is a file; TMPDIR too has to name a folder',
  EISDIR: 'the path is a folder: name a file',
  ENOSPC: 'the disk is full: make room, or set TMPDIR to a folder on another one',
  EDQUOT: 'the quota of this user is used up: make room, or set TMPDIR to a folder on another disk',
  EMFILE: 'raise the limit of open files (ulimit -n)',
  ENFILE: 'this computer has too many open files: end other programs',
  ENOMEM: 'this computer has not so much memory: end other programs, or set machine.memory lower',
};

/** The messages of V8 for memory that it does not get; a length below 10^9 is a mistake and no size of memory. */
const TOO_LARGE = /array buffer (allocation|length)|typed array length: \d{10}/i;

/** What to do where a system call failed with `errno`, such as `ENOSPC`; `undefined` where nothing is known. */
export function errnoHint(errno: string): string | undefined {
  return HINTS[errno];
}

/**
 * The coded error of something that this computer refused: `ERR_SYSCALL` for a system call that Node made,
 * `ERR_MACHINE_MEMORY` for memory that the JavaScript engine did not get; `undefined` for anything else. `where`
 * completes the message: `in the boot of ...`.
 */
export function hostErrorOf(cause: unknown, where: string = ''): CodedError | undefined {
  try {
    return readHostError(cause, where);
  } catch {
    // The host makes no error whose members throw.
    return undefined;
  }
}

function readHostError(cause: unknown, where: string): CodedError | undefined {
  const message = `${messageOf(cause)}${where === '' ? '' : `, ${where}`}`;
  if (cause instanceof Error && 'syscall' in cause && 'code' in cause && typeof cause.code === 'string') {
    return new CodedError('ERR_SYSCALL', message, { hint: errnoHint(cause.code), cause });
  }
  if (cause instanceof RangeError && TOO_LARGE.test(cause.message)) {
    return new CodedError('ERR_MACHINE_MEMORY', `there is not so much memory: ${message}`, {
      hint: 'set machine.memory lower: this computer or this version of Node does not give that much in one piece',
      cause,
    });
  }
  return undefined;
}
