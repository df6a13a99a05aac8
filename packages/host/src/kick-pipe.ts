import { closeDescriptor, lastErrno, libc, NativeBuffer, systemCallError, type Libc } from './libc.ts';
import { openPipe } from './open-pipe.ts';

/** Bytes of one notification: as many as a process reads from an event counter. */
const KICK_BYTES = 8;

/**
 * Notifications for another process, which reads them from a pipe as from an event counter: 8 bytes each. The two ends
 * of a pipe have flags of their own, so the process that has the read end cannot make {@link KickPipe.signal} wait.
 */
export class KickPipe {
  readonly #libc: Libc;
  readonly #one: NativeBuffer;
  #readEnd: number;
  #writeEnd: number;

  /** Throws {@link HostError}. */
  constructor() {
    this.#libc = libc();
    const { readEnd, writeEnd } = openPipe('create a pipe for notifications');
    this.#readEnd = readEnd;
    this.#writeEnd = writeEnd;
    this.#one = new NativeBuffer(KICK_BYTES);
    this.#one.bytes.setBigUint64(0, 1n, true);
  }

  /** The read end, for the other process. Throws `TypeError` after it was closed. */
  get descriptor(): number {
    if (this.#readEnd < 0) throw new TypeError('the read end of this pipe was closed');
    return this.#readEnd;
  }

  /** Closes the read end of this process: the other process has its own. */
  closeReadEnd(): void {
    if (this.#readEnd >= 0) closeDescriptor(this.#readEnd);
    this.#readEnd = -1;
  }

  /**
   * Sends one notification. A full pipe (8192 notifications that were not read) is a notification already. Returns
   * false where no process can read the pipe. Hot: one call into the C library, no allocation. Throws
   * {@link HostError}, and `TypeError` after `dispose`.
   */
  signal(): boolean {
    return this.#libc.write(this.#writeEnd, this.#one.address, KICK_BYTES) === KICK_BYTES || this.#signalFailed();
  }

  dispose(): void {
    if (this.#writeEnd < 0) return;
    this.closeReadEnd();
    closeDescriptor(this.#writeEnd);
    this.#writeEnd = -1;
    this.#one.dispose();
  }

  #signalFailed(): boolean {
    const errno = lastErrno();
    if (errno === 'EAGAIN') return true;
    // SIGPIPE does not end the process: Node ignores it.
    if (errno === 'EPIPE') return false;
    throw systemCallError('write', 'send a notification', errno);
  }
}
