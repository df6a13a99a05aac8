import { libc, type Libc } from './libc.ts';
import { NativeBuffer } from './native-buffer.ts';
import { closeDescriptor, lastErrno, systemCallError } from './system-call.ts';

const EFD_CLOEXEC = 0x8_0000;
const EFD_NONBLOCK = 0x800;

/** A counter in the kernel that another process can wait for or signal: a notification. Never blocks. */
export class EventFd {
  readonly #libc: Libc;
  readonly #value: NativeBuffer;
  #descriptor: number;

  /** Throws {@link HostError}. */
  constructor() {
    this.#libc = libc();
    this.#descriptor = this.#libc.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (this.#descriptor < 0) throw systemCallError('eventfd', 'create an event counter');
    this.#value = new NativeBuffer(8);
  }

  /** Throws `TypeError` after `dispose`: the number may already name another file. */
  get descriptor(): number {
    if (this.#descriptor < 0) throw new TypeError('this event counter was closed');
    return this.#descriptor;
  }

  /** Adds one to the counter. Hot: one call into the C library, no allocation. */
  signal(): void {
    if (this.#libc.eventfd_write(this.#descriptor, 1) !== 0) this.#signalFailed();
  }

  /** Takes the counter back to 0. Returns whether it was signalled. */
  drain(): boolean {
    if (this.#libc.eventfd_read(this.#descriptor, this.#value.address) === 0) return true;
    const errno = lastErrno();
    if (errno === 'EAGAIN') return false;
    throw systemCallError('eventfd_read', 'take a notification', errno);
  }

  dispose(): void {
    if (this.#descriptor < 0) return;
    closeDescriptor(this.#descriptor);
    this.#descriptor = -1;
    this.#value.dispose();
  }

  /** A counter at its limit is signalled already; anything else is a failure. */
  #signalFailed(): void {
    const error = systemCallError('eventfd_write', 'send a notification');
    if (error.errno !== 'EAGAIN') throw error;
  }
}
