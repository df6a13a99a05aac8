import { libc, type Libc } from './libc.ts';
import type { NativeBuffer } from './native-buffer.ts';
import { checked, closeDescriptor } from './system-call.ts';

const O_RDWR_CLOEXEC = 0x8_0002;
const F_SETFD = 2;
const FD_CLOEXEC = 1;

/**
 * An open device of the kernel's, such as /dev/vfio/vfio: what it does it is told by ioctl(2). Results are those of the kernel, a
 * negated errno where it refused, so that whoever asked can tell refusals apart. One owner, who closes it.
 */
export class DeviceFile {
  readonly #libc: Libc;
  #descriptor: number;

  private constructor(descriptor: number) {
    this.#libc = libc();
    this.#descriptor = descriptor;
  }

  /** Opens it for reading and writing. Throws {@link HostError}. */
  static open(path: string): DeviceFile {
    return new DeviceFile(checked(libc().open(path, O_RDWR_CLOEXEC), 'open', `open ${path}`));
  }

  /** Takes a descriptor that the kernel made for this process. */
  static adopt(descriptor: number): DeviceFile {
    libc().fcntl(descriptor, F_SETFD, FD_CLOEXEC);
    return new DeviceFile(descriptor);
  }

  /** Throws `TypeError` after `dispose`: the number may already name another file. */
  get descriptor(): number {
    if (this.#descriptor < 0) throw new TypeError('this device file was closed');
    return this.#descriptor;
  }

  /** The argument is a structure, or a number. Returns what the kernel does, or a negated errno. Hot: one call, no allocation. */
  control(request: number, argument: NativeBuffer | number = 0): number {
    const word = typeof argument === 'number' ? BigInt(argument) : argument.address;
    const result = this.#libc.ioctl(this.descriptor, request, word);
    return result < 0 ? -this.#libc.errno() : result;
  }

  /** Reads at an offset. Returns how many bytes, or a negated errno. */
  read(target: Uint8Array, offset: number): number {
    const length = this.#libc.pread(this.descriptor, target, target.length, offset);
    return length < 0 ? -this.#libc.errno() : length;
  }

  /** Writes at an offset. Returns how many bytes, or a negated errno. */
  write(source: Uint8Array, offset: number): number {
    const length = this.#libc.pwrite(this.descriptor, source, source.length, offset);
    return length < 0 ? -this.#libc.errno() : length;
  }

  dispose(): void {
    if (this.#descriptor < 0) return;
    closeDescriptor(this.#descriptor);
    this.#descriptor = -1;
  }
}
