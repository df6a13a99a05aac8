import { lstatSync, unlinkSync } from 'node:fs';
import { checked, closeDescriptor, HostError, lastErrno, libc, systemCallError } from '../libc.ts';
import { ADDRESS_BYTES, openUnixSocket, SOCK_DGRAM_NONBLOCK_CLOEXEC } from './unix-address.ts';
import { UnixSocket } from './unix-socket.ts';

const NONBLOCK_CLOEXEC = 0x8_0800;
/** Connections that wait to be accepted. */
const BACKLOG = 8;
/** The errors of a connection that was closed before it was accepted. */
const GONE: readonly string[] = ['EAGAIN', 'ECONNABORTED', 'EINTR'];

/** The file of a socket, by which it is recognized. */
interface SocketFile {
  readonly dev: bigint;
  readonly ino: bigint;
}

/** A Unix socket that accepts connections. Its file is removed with it. */
export class UnixListener {
  readonly path: string;
  #descriptor: number;
  readonly #file: SocketFile | undefined;

  /**
   * Listens at `path`. The file of a socket at which no program listens any more is replaced. Throws {@link HostError}:
   * `EADDRINUSE` where a program listens there, or where another file has the path.
   */
  constructor(path: string) {
    this.path = path;
    removeAbandoned(path);
    this.#descriptor = openUnixSocket(path, 'listen', (descriptor, address) => {
      checked(libc().bind(descriptor, address, ADDRESS_BYTES), 'bind', `listen at ${path}`);
      checked(libc().listen(descriptor, BACKLOG), 'listen', `listen at ${path}`);
    });
    this.#file = socketFile(path);
  }

  /** Readable when a connection waits. Throws `TypeError` after `dispose`. */
  get descriptor(): number {
    if (this.#descriptor < 0) throw new TypeError('this listening socket was closed');
    return this.#descriptor;
  }

  /** Accepts a connection that waits; `undefined` where none does. Throws {@link HostError}. */
  accept(): UnixSocket | undefined {
    const accepted = libc().accept4(this.descriptor, 0n, 0n, NONBLOCK_CLOEXEC);
    if (accepted >= 0) return UnixSocket.adopt(accepted);
    const errno = lastErrno();
    if (GONE.includes(errno)) return undefined;
    throw systemCallError('accept4', `accept a connection at ${this.path}`, errno);
  }

  /** Removes the file too, unless another program replaced it. */
  dispose(): void {
    if (this.#descriptor < 0) return;
    closeDescriptor(this.#descriptor);
    this.#descriptor = -1;
    const now = socketFile(this.path);
    if (now?.ino === this.#file?.ino && now?.dev === this.#file?.dev) remove(this.path);
  }
}

/**
 * Removes the file of a socket that no program has open. Throws `EADDRINUSE` where one has, and where the file is no
 * socket.
 */
function removeAbandoned(path: string): void {
  const status = lstatSync(path, { throwIfNoEntry: false });
  if (status === undefined) return;
  if (!status.isSocket())
    throw inUse(path, 'there is a file of another kind', 'choose another path, or remove the file');
  const state = stateOf(path);
  if (state === 'abandoned') remove(path);
  else if (state === 'open')
    throw inUse(path, 'another program listens there', 'end the other program, or choose another path');
}

function inUse(path: string, why: string, hint: string): HostError {
  const options = { syscall: 'bind', errno: 'EADDRINUSE', hint };
  return new HostError('ERR_SYSCALL', `cannot listen at ${path}: ${why}`, options);
}

/**
 * Whether a program has a socket open, which does not hear of it: a stream socket refuses to be connected to one for
 * datagrams (EPROTOTYPE), and one that no program has to any (ECONNREFUSED).
 */
function stateOf(path: string): 'open' | 'abandoned' | 'unknown' {
  const connect = (descriptor: number, address: bigint): void =>
    void checked(libc().connect(descriptor, address, ADDRESS_BYTES), 'connect', `connect to ${path}`);
  try {
    closeDescriptor(openUnixSocket(path, 'connect', connect, SOCK_DGRAM_NONBLOCK_CLOEXEC));
    return 'open';
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    if (error.errno === 'ECONNREFUSED') return 'abandoned';
    return error.errno === 'EPROTOTYPE' ? 'open' : 'unknown';
  }
}

function socketFile(path: string): SocketFile | undefined {
  const status = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return status?.isSocket() === true ? status : undefined;
}

function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Another program removed it, or bind says why the path cannot be used.
  }
}
