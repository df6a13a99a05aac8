import { closeSync, constants, openSync } from 'node:fs';
import { closeDescriptor, HostError, lastErrno, libc, NativeBuffer, systemCallError } from './libc.ts';
import { LoopReader } from './loop-reader.ts';
import { openPipe } from './open-pipe.ts';

/** Bytes of one notification: as many as a process writes to an event counter. */
const CALL_BYTES = 8;
/** Bytes that are read at once. */
const READ_BYTES = 512;

/**
 * Notifications that another process sends, for a driver that waits in the event loop: a pipe that the other process
 * writes to as to an event counter. The two ends of a pipe have flags of their own, so the process that has the write
 * end cannot make a read wait, which an {@link EventFd} cannot promise to a reader other than itself.
 */
export class CallPipe {
  readonly #buffer: NativeBuffer;
  readonly #readEnd: number;
  readonly #reader: LoopReader;
  #writeEnd = -1;
  #pending = 0;
  #isDisposed = false;

  /** `listener` is called from the event loop where notifications came. Throws {@link HostError}. */
  constructor(listener: () => void) {
    const { readEnd, writeEnd } = openPipe('create a pipe for notifications');
    this.#readEnd = readEnd;
    this.#buffer = new NativeBuffer(READ_BYTES);
    try {
      this.#writeEnd = withReader(writeEnd);
      this.#reader = new LoopReader(this.#readEnd, READ_BYTES, {
        received: (_, length) => {
          this.#pending += Math.ceil(length / CALL_BYTES);
          listener();
        },
        // The other process needs the pipe no more: its queue was stopped.
        ended: () => {},
      });
    } catch (error) {
      this.closeWriteEnd();
      closeDescriptor(this.#readEnd);
      this.#buffer.dispose();
      throw error;
    } finally {
      closeDescriptor(writeEnd);
    }
  }

  /** The write end, for the other process. Throws `TypeError` after it was closed. */
  get descriptor(): number {
    if (this.#writeEnd < 0) throw new TypeError('the write end of this pipe was closed');
    return this.#writeEnd;
  }

  /** Readable when notifications came that the event loop has not read. Throws `TypeError` after `dispose`. */
  get readEnd(): number {
    if (this.#isDisposed) throw new TypeError('this pipe was closed');
    return this.#readEnd;
  }

  /** Closes the write end of this process: the other process has its own. */
  closeWriteEnd(): void {
    if (this.#writeEnd >= 0) closeSync(this.#writeEnd);
    this.#writeEnd = -1;
  }

  /** The notifications that the event loop read, and sets their number to 0. Hot: no system call. */
  takePending(): number {
    const pending = this.#pending;
    this.#pending = 0;
    return pending;
  }

  /** Takes all notifications, and returns their number. Never waits. Throws {@link HostError}. */
  drain(): number {
    let taken = this.takePending();
    for (;;) {
      const length = libc().read(this.#readEnd, this.#buffer.address, READ_BYTES);
      if (length > 0) taken += Math.ceil(length / CALL_BYTES);
      if (length === READ_BYTES) continue;
      if (length >= 0) return taken;
      const errno = lastErrno();
      if (errno === 'EAGAIN') return taken;
      if (errno !== 'EINTR') throw systemCallError('read', 'take a notification', errno);
    }
  }

  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.closeWriteEnd();
    this.#reader.dispose();
    closeDescriptor(this.#readEnd);
    this.#buffer.dispose();
  }
}

/**
 * Opens the pipe of a write end for reading too: a process that writes to it when this one is gone then gets no
 * SIGPIPE, which ends a program that does not expect it; an event counter sends none.
 */
function withReader(writeEnd: number): number {
  try {
    return openSync(`/proc/self/fd/${writeEnd}`, constants.O_RDWR | constants.O_NONBLOCK);
  } catch (cause) {
    throw new HostError('ERR_SYSCALL', `cannot open a pipe for notifications a second time: ${String(cause)}`, {
      syscall: 'open',
      hint: 'this needs /proc, as on every Linux system',
      cause,
    });
  }
}
