import { libc, NativeBuffer } from './libc.ts';
import { openPipe, type PipeEnds } from './open-pipe.ts';
import { PollEvents } from './poll-set.ts';

/** Bytes of struct pollfd: int fd, short events, short revents. */
const ENTRY = 8;
const FOR_EVER = -1;
/** Bytes that end a poll. */
const INTERRUPTION_BYTES = 1;

/**
 * Waits in the event loop until a descriptor can be read, and reads nothing: for a socket whose messages bring
 * descriptors along, which Node's own reading would drop. One thread waits for all descriptors of this process.
 */
export class ReadableWait {
  readonly descriptor: number;
  #resolve: (() => void) | undefined;
  #isWoken = false;
  #isDisposed = false;

  /** The caller keeps and closes the descriptor, after `dispose`. */
  constructor(descriptor: number) {
    this.descriptor = descriptor;
  }

  /**
   * Resolves once the descriptor can be read or its other end is closed, after {@link wake}, and after `dispose`. Keeps
   * the process alive. One call at a time. Rejects with {@link HostError}.
   */
  async wait(): Promise<void> {
    if (!this.#isWoken && !this.#isDisposed) {
      const woken = new Promise<void>((resolve) => (this.#resolve = resolve));
      waiting.add(this);
      pollWaiting();
      await woken;
    }
    this.#isWoken = false;
  }

  /** Ends the wait, or the next one where there is none. */
  wake(): void {
    this.#isWoken = true;
    if (!waiting.delete(this)) return;
    this.#resolve?.();
    interruptPoll();
  }

  dispose(): void {
    this.#isDisposed = true;
    this.wake();
  }
}

const waiting = new Set<ReadableWait>();
/** Ends the running poll: the next one has the descriptors that are waited for by then. `undefined` between polls. */
let interruption: PipeEnds | undefined;
let isPolling = false;
let isInterrupted = false;

function interruptPoll(): void {
  if (!isPolling || isInterrupted || interruption === undefined) return;
  isInterrupted = true;
  const byte = new NativeBuffer(INTERRUPTION_BYTES);
  libc().write(interruption.writeEnd, byte.address, INTERRUPTION_BYTES);
  byte.dispose();
}

/** Has the thread wait for all who wait now. */
function pollWaiting(): void {
  if (isPolling) return interruptPoll();
  if (waiting.size > 0) void pollInThread([...waiting], (interruption ??= openPipe('create a pipe to end a wait')));
}

async function pollInThread(polled: readonly ReadableWait[], { readEnd }: PipeEnds): Promise<void> {
  const entries = new NativeBuffer(ENTRY * (polled.length + 1));
  const { bytes } = entries;
  [readEnd, ...polled.map(({ descriptor }) => descriptor)].forEach((descriptor, i) => {
    bytes.setInt32(ENTRY * i, descriptor, true);
    bytes.setInt16(ENTRY * i + 4, PollEvents.Readable, true);
  });
  isPolling = true;
  const ready = await libc().pollInThread(entries.address, polled.length + 1, FOR_EVER);
  isPolling = false;
  if (isInterrupted) takeInterruption(readEnd);
  // A call that failed has no events: those who wait look, and wait again.
  const isReady = (i: number): boolean => ready < 0 || bytes.getInt16(ENTRY * (i + 1) + 6, true) !== 0;
  for (const [i, one] of polled.entries()) if (waiting.has(one) && isReady(i)) one.wake();
  entries.dispose();
  pollWaiting();
}

function takeInterruption(readEnd: number): void {
  isInterrupted = false;
  const byte = new NativeBuffer(INTERRUPTION_BYTES);
  libc().read(readEnd, byte.address, INTERRUPTION_BYTES);
  byte.dispose();
}
