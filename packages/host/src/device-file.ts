import { checked, closeDescriptor, libc, type Libc, type NativeBuffer } from './libc.ts';

const O_RDWR_CLOEXEC = 0x8_0002;
const F_SETFD = 2;
const FD_CLOEXEC = 1;

/**
 * An open device file of the kernel, such as /dev/vfio/vfio, which ioctl(2) controls. The methods return the kernel's
 * result, a negated errno where the kernel refused, so that the caller can tell refusals apart. The owner closes it.
 */
export class DeviceFile {
  readonly #libc: Libc;
  #descriptor: number;

  private constructor(descriptor: number) {
    this.#libc = libc();
    this.#descriptor = descriptor;
  }

  /** Opens a device file for reading and writing. Throws {@link HostError}. */
  static open(path: string): DeviceFile {
    return new DeviceFile(checked(libc().open(path, O_RDWR_CLOEXEC), 'open', `open ${path}`));
  }

  /** Takes over a descriptor that the kernel made for this process. */
  static adopt(descriptor: number): DeviceFile {
    libc().fcntl(descriptor, F_SETFD, FD_CLOEXEC);
    return new DeviceFile(descriptor);
  }

  /** Throws `TypeError` after `dispose`: another file may already have the number. */
  get descriptor(): number {
    if (this.#descriptor < 0) throw new TypeError('this device file was closed');
    return this.#descriptor;
  }

  /**
   * Makes an ioctl whose argument is a structure or a number. Returns the kernel's result, or a negated errno. Hot: one
   * call, no allocation.
   */
  control(request: number, argument: NativeBuffer | number = 0): number {
    const word = typeof argument === 'number' ? BigInt(argument) : argument.address;
    const result = this.#libc.ioctl(this.descriptor, request, word);
    return result < 0 ? -this.#libc.errno() : result;
  }

  /** Reads from an offset. Returns the number of bytes read, or a negated errno. */
  read(target: Uint8Array, offset: number): number {
    const length = this.#libc.pread(this.descriptor, target, target.length, offset);
    return length < 0 ? -this.#libc.errno() : length;
  }

  /** Writes to an offset. Returns the number of bytes written, or a negated errno. */
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
