import { lastErrno, libc, NativeBuffer, systemCallError } from './libc.ts';

/** Events of poll(2). Error and hang-up are reported even where they were not asked for. */
export const PollEvents = {
  Readable: 0x0001,
  Writable: 0x0004,
  Error: 0x0008,
  HangUp: 0x0010,
  /** The peer shut down its sending half, or closed the connection. */
  PeerClosed: 0x2000,
} as const;

/** Bytes of struct pollfd: int fd, short events, short revents. */
const ENTRY = 8;
const LONGEST_WAIT_MS = 0x7fff_ffff;

/**
 * A few descriptors to wait for together (poll(2)). The caller keeps and closes the descriptors. `wait` allocates
 * nothing.
 */
export class PollSet {
  readonly #entries: NativeBuffer;
  readonly #count: number;

  /** `count` entries, all unset. */
  constructor(count: number) {
    this.#entries = new NativeBuffer(count * ENTRY);
    this.#count = count;
    for (let i = 0; i < count; i++) this.unset(i);
  }

  /** Has entry `index` wait for `events` of a descriptor. */
  set(index: number, descriptor: number, events: number): void {
    const bytes = this.#entries.bytes;
    bytes.setInt32(index * ENTRY, descriptor, true);
    bytes.setInt16(index * ENTRY + 4, events, true);
    bytes.setInt16(index * ENTRY + 6, 0, true);
  }

  unset(index: number): void {
    this.set(index, -1, 0);
  }

  /** Waits until a descriptor is ready. Returns false on timeout. Throws {@link HostError}. */
  wait(timeoutMs: number): boolean {
    const deadline = performance.now() + timeoutMs;
    for (let left = timeoutMs; ; left = deadline - performance.now()) {
      const wait = left > 0 ? Math.min(Math.ceil(left), LONGEST_WAIT_MS) : 0;
      const ready = libc().poll(this.#entries.address, this.#count, wait);
      if (ready > 0) return true;
      if (ready === 0) return false;
      const errno = lastErrno();
      // A signal ended the call early: wait for the rest of the time.
      if (errno !== 'EINTR') throw systemCallError('poll', 'wait for descriptors', errno);
    }
  }

  /** The events of entry `index` that the last wait reported: bits of {@link PollEvents}. */
  events(index: number): number {
    return this.#entries.bytes.getInt16(index * ENTRY + 6, true);
  }

  dispose(): void {
    this.#entries.dispose();
  }
}
