import { closeDescriptor, HostError, lastErrno, libc, NativeBuffer, systemCallError, type Libc } from './libc.ts';
import { inspectDescriptor, neverWait } from './peer-descriptor.ts';
import { PollEvents, PollSet } from './poll-set.ts';
import type { TransferResult } from './socket/unix-socket.ts';

/** Bytes of the longest message. A pipe takes this many in one piece, or none of them (`PIPE_BUF` in pipe(7)). */
const MOST_BYTES = 4096;

/**
 * A descriptor that another process gave to be written to: a stream socket, or the end of a pipe. The other process
 * shares its flags.
 */
export class PeerStream {
  readonly #libc: Libc = libc();
  readonly #poll: PollSet;
  readonly #message: NativeBuffer;
  #descriptor: number;

  /**
   * Takes the descriptor over. Throws {@link HostError} `EINVAL` for one that is no socket and no end of a pipe to
   * write to; then it is closed.
   */
  constructor(descriptor: number) {
    const { kind, isWritable } = inspectDescriptor(descriptor);
    if ((kind !== 'socket' && kind !== 'pipe') || !isWritable) {
      closeDescriptor(descriptor);
      const what = kind === 'pipe' ? 'the wrong end of a pipe' : 'no socket and no pipe';
      throw new HostError('ERR_SYSCALL', `a descriptor for messages is ${what}`, { errno: 'EINVAL' });
    }
    neverWait(descriptor);
    this.#descriptor = descriptor;
    this.#poll = new PollSet(1);
    this.#message = new NativeBuffer(MOST_BYTES);
  }

  /** Writes all of `bytes`, at most 4096. Throws {@link HostError}, and `RangeError` for more. */
  send(bytes: Uint8Array, timeoutMs: number): TransferResult {
    if (bytes.length > MOST_BYTES) throw new RangeError(`${bytes.length} bytes in one message`);
    new Uint8Array(this.#message.bytes.buffer).set(bytes);
    const deadline = performance.now() + timeoutMs;
    for (let done = 0; done < bytes.length;) {
      const at = this.#message.address + BigInt(done);
      const written = this.#libc.write(this.#descriptor, at, bytes.length - done);
      if (written >= 0) {
        done += written;
        continue;
      }
      const errno = lastErrno();
      if (errno === 'EINTR') continue;
      // SIGPIPE does not end the process: Node ignores it.
      if (errno === 'EPIPE' || errno === 'ECONNRESET') return 'closed';
      if (errno !== 'EAGAIN') throw systemCallError('write', 'send a message', errno);
      this.#poll.set(0, this.#descriptor, PollEvents.Writable);
      if (!this.#poll.wait(deadline - performance.now())) return 'timeout';
    }
    return 'done';
  }

  dispose(): void {
    if (this.#descriptor < 0) return;
    closeDescriptor(this.#descriptor);
    this.#descriptor = -1;
    this.#poll.dispose();
    this.#message.dispose();
  }
}
