import type { DeviceClient } from './device-client.ts';

/**
 * Resolves with `ready`. Where the device of `client` fails before, or `signal` is aborted, ends the client and rejects
 * with the reason.
 */
export async function untilReady<T>(client: DeviceClient, ready: Promise<T>, signal?: AbortSignal): Promise<T> {
  let stop!: (error: unknown) => void;
  const failed = new Promise<never>((_, reject) => {
    stop = reject;
  });
  const abort = (): void => stop(signal?.reason);
  signal?.addEventListener('abort', abort, { once: true });
  client.once('failed', stop);
  try {
    signal?.throwIfAborted();
    return await Promise.race([ready, failed]);
  } catch (error) {
    await client.destroy();
    throw error;
  } finally {
    signal?.removeEventListener('abort', abort);
    client.off('failed', stop);
  }
}
