import { DeviceError } from '@virtio-platform/core';

/** The error of a capture file that cannot be used: `problem` says what is wrong with it, and where. */
export function captureError(path: string, problem: string, hint: string, cause?: unknown): DeviceError {
  return new DeviceError('ERR_DEVICE_CAPTURE', `the capture ${path} ${problem}`, { hint, cause });
}

/** Does something with a file. Throws {@link DeviceError} `ERR_DEVICE_CAPTURE` where the operating system refuses. */
export function withCapture<T>(path: string, option: string, body: () => T): T {
  try {
    return body();
  } catch (cause) {
    if (!(cause instanceof Error) || !('syscall' in cause) || !('code' in cause)) throw cause;
    throw captureError(
      path,
      `fails: ${String(cause.syscall)}: ${String(cause.code)}`,
      `correct workload.${option}, or its permissions`,
      cause,
    );
  }
}
