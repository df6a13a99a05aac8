import { CodedError } from '@virtio-platform/core';

/**
 * The operating system said no: `ERR_SYSCALL`, with the call and the name of its errno; or this is no operating system that
 * the package knows: `ERR_HOST_UNSUPPORTED`, with neither.
 */
export class HostError extends CodedError {
  readonly syscall: string | undefined;
  /** As in errno.h: `ECONNREFUSED`. */
  readonly errno: string | undefined;

  constructor(
    code: 'ERR_SYSCALL' | 'ERR_HOST_UNSUPPORTED',
    message: string,
    options: {
      syscall?: string | undefined;
      errno?: string | undefined;
      hint?: string | undefined;
      cause?: unknown;
    } = {},
  ) {
    super(code, message, options);
    this.syscall = options.syscall;
    this.errno = options.errno;
  }
}
