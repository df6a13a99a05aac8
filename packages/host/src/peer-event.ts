import { closeDescriptor, HostError, lastErrno, libc, NativeBuffer, systemCallError, type Libc } from './libc.ts';
import { LoopReader } from './loop-reader.ts';
import { inspectDescriptor, neverWait } from './peer-descriptor.ts';

/** Bytes of one notification. */
const NOTIFICATION_BYTES = 8;
/**
 * Bytes that are read at once: more than an event counter has, so that Node does not read it a second time, which would
 * wait if the other process had cleared O_NONBLOCK.
 */
const MOST_READ = 4096;

/**
 * A descriptor that another process gave for notifications in one direction: an event counter, or one end of a pipe or
 * socket. The other process shares its flags: one that clears O_NONBLOCK and takes a notification of its own away from
 * this process can make it wait.
 */
export class PeerEvent {
  readonly #libc: Libc = libc();
  readonly #one: NativeBuffer;
  readonly #isCounter: boolean;
  #descriptor: number;
  #reader: LoopReader | undefined;

  /**
   * Takes the descriptor over. Throws {@link HostError} `EINVAL` for one that is no event counter, pipe or socket, or
   * that cannot be used in this direction; then it is closed.
   */
  constructor(descriptor: number, direction: 'receives' | 'sends') {
    const { kind, isReadable, isWritable } = inspectDescriptor(descriptor);
    const isEvent = kind === 'eventfd' || kind === 'pipe' || kind === 'socket';
    if (!isEvent || !(direction === 'receives' ? isReadable : isWritable)) {
      closeDescriptor(descriptor);
      const what = isEvent ? `the wrong end of a ${kind}` : `no event counter, pipe or socket`;
      throw new HostError('ERR_SYSCALL', `a descriptor for notifications is ${what}`, { errno: 'EINVAL' });
    }
    neverWait(descriptor);
    this.#isCounter = kind === 'eventfd';
    this.#descriptor = descriptor;
    this.#one = new NativeBuffer(NOTIFICATION_BYTES);
    this.#one.bytes.setBigUint64(0, 1n, true);
  }

  /**
   * Has the event loop call `listener` where notifications came, with their number, until `dispose`. Throws
   * {@link HostError}.
   */
  watch(listener: (count: number) => void): void {
    const received = this.#isCounter
      ? (bytes: Uint8Array): void => listener(new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true))
      : (_bytes: Uint8Array, length: number): void => listener(Math.ceil(length / NOTIFICATION_BYTES));
    this.#reader = new LoopReader(this.#descriptor, MOST_READ, { received, ended: () => {} });
  }

  /**
   * Sends one notification. Where so many were not read that there is no room, it is one already. Returns false where
   * the other process closed its end. Hot: one call into the C library. Throws {@link HostError}.
   */
  signal(): boolean {
    return (
      this.#libc.write(this.#descriptor, this.#one.address, NOTIFICATION_BYTES) === NOTIFICATION_BYTES ||
      this.#signalFailed()
    );
  }

  dispose(): void {
    if (this.#descriptor < 0) return;
    this.#reader?.dispose();
    closeDescriptor(this.#descriptor);
    this.#descriptor = -1;
    this.#one.dispose();
  }

  #signalFailed(): boolean {
    const errno = lastErrno();
    if (errno === 'EAGAIN') return true;
    if (errno === 'EPIPE' || errno === 'ECONNRESET' || errno === 'ENOTCONN') return false;
    throw systemCallError('write', 'send a notification', errno);
  }
}
