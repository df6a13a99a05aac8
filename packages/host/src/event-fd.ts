import { closeDescriptor, HostError, lastErrno, libc, NativeBuffer, systemCallError, type Libc } from './libc.ts';
import { LoopReader } from './loop-reader.ts';

const EFD_CLOEXEC = 0x8_0000;
const EFD_NONBLOCK = 0x800;
/** preadv2(2): the call returns EAGAIN where it would wait, whatever the flags of the descriptor are. */
const RWF_NOWAIT = 8;
/** preadv2(2): read at the file position, as read(2) does. */
const FILE_POSITION = -1;
/** Offsets in one buffer: the value of the counter, and the struct iovec that points to it. */
const VALUE = 0;
const IOVEC = 8;
const BUFFER_BYTES = 24;
/** Bytes of the counter, which a read returns whole. */
const COUNTER_BYTES = 8;

/**
 * Notifications that another process sends: an event counter in the kernel. A process that has the descriptor shares
 * its flags and can clear O_NONBLOCK, so each read says for itself that it does not wait (Linux 5.8).
 */
export class EventFd {
  readonly #libc: Libc;
  readonly #buffer: NativeBuffer;
  #descriptor: number;
  #reader: LoopReader | undefined;
  /** The notifications that the event loop read. */
  #pending = 0;

  /** Throws {@link HostError}. */
  constructor() {
    this.#libc = libc();
    this.#descriptor = this.#libc.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (this.#descriptor < 0) throw systemCallError('eventfd', 'create an event counter');
    this.#buffer = new NativeBuffer(BUFFER_BYTES);
    this.#buffer.bytes.setBigUint64(IOVEC, this.#buffer.address + BigInt(VALUE), true);
    this.#buffer.bytes.setBigUint64(IOVEC + 8, BigInt(COUNTER_BYTES), true);
  }

  /** The other process writes to it. Throws `TypeError` after `dispose`: another file may already have the number. */
  get descriptor(): number {
    if (this.#descriptor < 0) throw new TypeError('this event counter was closed');
    return this.#descriptor;
  }

  /**
   * Has `listener` called from the event loop where notifications came, until `dispose`. Only for an event counter that
   * the kernel signals: another process could make the event loop wait, by clearing O_NONBLOCK; see {@link CallPipe}.
   * Throws {@link HostError}.
   */
  watch(listener: () => void): void {
    this.#reader = new LoopReader(this.descriptor, COUNTER_BYTES, {
      received: (bytes) => {
        this.#pending += counterValue(new DataView(bytes.buffer, bytes.byteOffset), 0);
        listener();
      },
      ended: () => {},
    });
  }

  /**
   * Sets the counter to 0. Returns its value: the number of notifications, 0 where none was sent. Never waits. Throws
   * {@link HostError}: `ERR_HOST_UNSUPPORTED` on Linux before 5.8.
   */
  drain(): number {
    const pending = this.#pending;
    this.#pending = 0;
    return pending + this.#drain();
  }

  #drain(): number {
    const vector = this.#buffer.address + BigInt(IOVEC);
    for (;;) {
      if (this.#libc.preadv2(this.#descriptor, vector, 1, FILE_POSITION, RWF_NOWAIT) === COUNTER_BYTES)
        return counterValue(this.#buffer.bytes, VALUE);
      const errno = lastErrno();
      if (errno === 'EAGAIN') return 0;
      if (errno !== 'EINTR') throw readError(errno);
    }
  }

  dispose(): void {
    if (this.#descriptor < 0) return;
    this.#reader?.dispose();
    closeDescriptor(this.#descriptor);
    this.#descriptor = -1;
    this.#buffer.dispose();
  }
}

function counterValue(bytes: DataView, at: number): number {
  return bytes.getUint32(at, true) + bytes.getUint32(at + 4, true) * 2 ** 32;
}

function readError(errno: string): HostError {
  if (errno !== 'EOPNOTSUPP' && errno !== 'ENOSYS') return systemCallError('preadv2', 'take a notification', errno);
  return new HostError('ERR_HOST_UNSUPPORTED', `this kernel cannot read an event counter without waiting: ${errno}`, {
    hint: 'use Linux 5.8 or later',
  });
}
