import { getSystemErrorName } from 'node:util';
import { HostError } from './host-error.ts';
import { libc } from './libc.ts';

/** As in errno.h: `EAGAIN`. */
function errnoName(errno: number): string {
  return errno > 0 ? getSystemErrorName(-errno) : 'no errno';
}

/** Name of the errno that the last call left. Ask before anything else runs: the engine makes system calls too. */
export function lastErrno(): string {
  return errnoName(libc().errno());
}

/** The error of a call that just failed. `doing` completes "cannot ...". */
export function systemCallError(syscall: string, doing: string, errno: string = lastErrno()): HostError {
  return new HostError('ERR_SYSCALL', `cannot ${doing}: ${syscall}: ${errno}`, { syscall, errno });
}

/** Passes a result through, or throws {@link HostError} when it is the negative one of a failed call. */
export function checked(result: number, syscall: string, doing: string): number {
  if (result < 0) throw systemCallError(syscall, doing);
  return result;
}

/** Closes a descriptor. Never throws: Linux releases it even where close(2) reports an error. */
export function closeDescriptor(descriptor: number): void {
  libc().close(descriptor);
}
