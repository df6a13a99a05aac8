import { once } from 'node:events';
import type { ClientRequests } from '../device/device-client.ts';
import type { LinkStream } from './link-stream.ts';

/** How long a device may take over what streams have written when their client is closed. */
const FINISH_MS = 1000;

/** Ends the streams of a client. `streams` lists those that there are at that time. */
export function streamRequests(streams: () => readonly LinkStream[]): ClientRequests {
  return {
    async finish() {
      await Promise.all(streams().map((stream) => finishStream(stream)));
    },
    reject(_error, cause) {
      for (const stream of streams()) {
        // An error without a listener would end the process: the client tells of it, too.
        const isHeard = cause instanceof Error && stream.listenerCount('error') > 0;
        stream.destroy(isHeard ? cause : undefined);
      }
    },
  };
}

/** Lets a stream write what it has, for a bounded time, and destroys it. */
async function finishStream(stream: LinkStream): Promise<void> {
  if (stream.destroyed) return;
  if (stream.isWriting || stream.writableLength > 0) {
    stream.end();
    await once(stream, 'finish', { signal: AbortSignal.timeout(FINISH_MS) }).catch(() => {});
  }
  stream.destroy();
}
