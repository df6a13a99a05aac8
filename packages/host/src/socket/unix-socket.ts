import { libc, checked, closeDescriptor, lastErrno, systemCallError, NativeBuffer } from '../libc.ts';
import { PollEvents, PollSet } from '../poll-set.ts';
import { neverWait } from '../peer-descriptor.ts';
import { ADDRESS_BYTES, openUnixSocket, AF_UNIX, SOCK_STREAM_NONBLOCK_CLOEXEC } from './unix-address.ts';
import { MAX_DESCRIPTORS, SocketMessage } from './socket-message.ts';

/** fcntl(2): sets the flags of the file, here without O_NONBLOCK. */
const F_SETFL = 4;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x4000_0000;

/** How a transfer ended: complete, the peer closed the connection, or timeout with only a part transferred. */
export type TransferResult = 'done' | 'closed' | 'timeout';

/**
 * A connected Unix stream socket that transfers descriptors, which Node's own sockets cannot. Synchronous; every wait
 * has a deadline.
 */
export class UnixSocket {
  readonly #message: SocketMessage = new SocketMessage();
  readonly #poll: PollSet = new PollSet(1);
  #descriptor: number;

  private constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  /**
   * Connects to a listening socket, without waiting. Throws {@link HostError}: `ENOENT` and `ECONNREFUSED` where no
   * server listens (yet), `EAGAIN` where its backlog is full.
   */
  static connect(path: string): UnixSocket {
    return new UnixSocket(
      openUnixSocket(path, 'connect', (descriptor, address) =>
        checked(libc().connect(descriptor, address, ADDRESS_BYTES), 'connect', `connect to ${path}`),
      ),
    );
  }

  /**
   * Takes over a connected socket that another process gave, or that `accept4` returned. Its calls do not wait from
   * here on, unless the other process shares its flags and lets them. Throws {@link HostError}; then it is closed.
   */
  static adopt(descriptor: number): UnixSocket {
    neverWait(descriptor);
    return new UnixSocket(descriptor);
  }

  /** Two sockets connected to each other. Throws {@link HostError}. */
  static pair(): [UnixSocket, UnixSocket] {
    const ends = new NativeBuffer(8);
    try {
      checked(
        libc().socketpair(AF_UNIX, SOCK_STREAM_NONBLOCK_CLOEXEC, 0, ends.address),
        'socketpair',
        'create two Unix sockets',
      );
      return [new UnixSocket(ends.bytes.getInt32(0, true)), new UnixSocket(ends.bytes.getInt32(4, true))];
    } finally {
      ends.dispose();
    }
  }

  /**
   * Lets calls on this end wait, as a process expects that gets the descriptor. This process only passes it on and
   * closes it. Throws {@link HostError}.
   */
  waitInPeer(): void {
    checked(libc().fcntl(this.descriptor, F_SETFL, 0), 'fcntl', 'let the other process wait for a socket');
  }

  /** Throws `TypeError` after `dispose`: another file may already have the number. */
  get descriptor(): number {
    if (this.#descriptor < 0) throw new TypeError('this socket was closed');
    return this.#descriptor;
  }

  /**
   * Sends all of `bytes` (one or more) and copies of up to eight descriptors; the caller still closes its own. Throws
   * {@link HostError}.
   */
  send(bytes: Uint8Array, descriptors: readonly number[], timeoutMs: number): TransferResult {
    if (descriptors.length > MAX_DESCRIPTORS) throw new RangeError(`${descriptors.length} descriptors in one message`);
    const deadline = performance.now() + timeoutMs;
    for (let done = 0; done < bytes.length;) {
      const part = bytes.subarray(done, done + SocketMessage.CAPACITY);
      // The first byte carries the descriptors. After a short write the rest is sent without them.
      this.#message.write(part, done === 0 ? descriptors : []);
      const sent = libc().sendmsg(this.descriptor, this.#message.header, MSG_NOSIGNAL);
      if (sent >= 0) {
        done += sent;
        continue;
      }
      const result = this.#afterFailure('sendmsg', 'send', PollEvents.Writable, deadline);
      if (result !== 'again') return result;
    }
    return 'done';
  }

  /** Fills `target`. The kernel closes descriptors that were sent along. Throws {@link HostError}. */
  receive(target: Uint8Array, timeoutMs: number): TransferResult {
    return this.#receive(target, timeoutMs, (length) => libc().recv(this.descriptor, this.#message.data, length, 0));
  }

  /**
   * Fills `target`, and appends the received descriptors to `descriptors`, which the caller closes. Throws
   * {@link HostError}.
   */
  receiveDescriptors(target: Uint8Array, descriptors: number[], timeoutMs: number): TransferResult {
    return this.#receive(target, timeoutMs, (length) => {
      this.#message.prepare(length);
      const received = libc().recvmsg(this.descriptor, this.#message.header, MSG_CMSG_CLOEXEC);
      if (received > 0) descriptors.push(...this.#message.descriptors());
      return received;
    });
  }

  /** Whether bytes can be received now, or the peer closed the connection. Throws {@link HostError}. */
  isReadable(): boolean {
    this.#poll.set(0, this.descriptor, PollEvents.Readable);
    return this.#poll.wait(0);
  }

  /** Receives the bytes that have arrived, at least one, and returns their number. Throws {@link HostError}. */
  receiveSome(target: Uint8Array, timeoutMs: number): number | 'closed' | 'timeout' {
    const deadline = performance.now() + timeoutMs;
    const most = Math.min(target.length, SocketMessage.CAPACITY);
    for (;;) {
      const received = libc().recv(this.descriptor, this.#message.data, most, 0);
      if (received === 0) return 'closed';
      if (received > 0) {
        this.#message.read(target, 0, received);
        return received;
      }
      const result = this.#afterFailure('recv', 'receive', PollEvents.Readable, deadline);
      if (result !== 'again') return result;
    }
  }

  dispose(): void {
    if (this.#descriptor < 0) return;
    closeDescriptor(this.#descriptor);
    this.#descriptor = -1;
    this.#poll.dispose();
    this.#message.dispose();
  }

  #receive(target: Uint8Array, timeoutMs: number, receive: (length: number) => number): TransferResult {
    const deadline = performance.now() + timeoutMs;
    for (let done = 0; done < target.length;) {
      const received = receive(Math.min(target.length - done, SocketMessage.CAPACITY));
      if (received === 0) return 'closed';
      if (received > 0) {
        this.#message.read(target, done, received);
        done += received;
        continue;
      }
      const result = this.#afterFailure('recv', 'receive', PollEvents.Readable, deadline);
      if (result !== 'again') return result;
    }
    return 'done';
  }

  /**
   * After a failed call: waits where the call would have blocked, returns `closed` where the peer is gone, else throws.
   */
  #afterFailure(syscall: string, doing: string, events: number, deadline: number): 'closed' | 'timeout' | 'again' {
    const errno = lastErrno();
    if (errno === 'EINTR') return 'again';
    if (errno === 'EPIPE' || errno === 'ECONNRESET') return 'closed';
    if (errno !== 'EAGAIN') throw systemCallError(syscall, doing, errno);
    this.#poll.set(0, this.descriptor, events);
    return this.#poll.wait(deadline - performance.now()) ? 'again' : 'timeout';
  }
}
