import type { CodedError } from '@virtio-platform/core';

/** The error of this class that `promise` is rejected with. Anything else fails the test. */
export async function caught<Caught extends CodedError>(
  promise: Promise<unknown>,
  type: abstract new (...parameters: never[]) => Caught,
): Promise<Caught> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof type) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}
