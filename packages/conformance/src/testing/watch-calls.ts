import { setTimeout as delay } from 'node:timers/promises';
import type { Transport } from '@virtio-platform/core/device';

/**
 * Watches a transport. Returns a function that resolves with the next call of the listener, or at once where one came
 * since it resolved last, and rejects where none comes within `timeoutMs`. Throws an Error for a transport that cannot
 * be watched.
 */
export function watchCalls(transport: Transport, timeoutMs = 5000): () => Promise<void> {
  if (transport.watch === undefined) throw new Error('the transport has no `watch`');
  let isCalled = false;
  let wake: (() => void) | undefined;
  transport.watch(() => {
    isCalled = true;
    wake?.();
  });
  return async () => {
    const woken = new Promise<void>((resolve) => {
      wake = resolve;
    });
    const stop = new AbortController();
    const late = delay(timeoutMs, 'late', { signal: stop.signal });
    late.catch(() => {});
    if (!isCalled && (await Promise.race([woken, late])) === 'late')
      throw new Error(`the listener of \`watch\` was not called in ${timeoutMs} ms`);
    stop.abort();
    isCalled = false;
  };
}
