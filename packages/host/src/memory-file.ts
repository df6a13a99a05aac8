import { libc } from './libc.ts';
import { checked, closeDescriptor, systemCallError } from './system-call.ts';

const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const F_ADD_SEALS = 1033;
/** F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW. */
const SIZE_SEALS = 1 | 2 | 4;
const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;

/**
 * A file that exists only in memory (memfd), sparse and zeroed: what is passed to another process to share memory with it.
 * Nobody can change its size, so the other process cannot make this one crash where it has the file mapped.
 */
export class MemoryFile {
  readonly size: number;
  #descriptor: number;

  private constructor(descriptor: number, size: number) {
    this.#descriptor = descriptor;
    this.size = size;
  }

  /** `name` is what /proc shows. Throws {@link HostError}. */
  static create(name: string, size: number): MemoryFile {
    const flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    const descriptor = checked(libc().memfd_create(name, flags), 'memfd_create', 'create shared memory');
    const file = new MemoryFile(descriptor, size);
    try {
      checked(libc().ftruncate(descriptor, size), 'ftruncate', `make ${size} bytes of shared memory`);
      checked(libc().fcntl(descriptor, F_ADD_SEALS, SIZE_SEALS), 'fcntl', 'fix the size of shared memory');
    } catch (error) {
      file.dispose();
      throw error;
    }
    return file;
  }

  /** Throws `TypeError` after `dispose`: the number may already name another file. */
  get descriptor(): number {
    if (this.#descriptor < 0) throw new TypeError('this memory file was closed');
    return this.#descriptor;
  }

  /** Writes all of `source`, up to 1 MiB. Throws {@link HostError}. */
  write(source: Uint8Array, offset: number): void {
    const written = checked(
      libc().pwrite(this.descriptor, source, source.length, offset),
      'pwrite',
      `write ${source.length} bytes of shared memory`,
    );
    // Where there is no room for all of it, the call says so only when it is asked for the rest.
    if (written < source.length) throw systemCallError('pwrite', 'write all of it', 'ENOSPC');
  }

  /** Fills `target`, up to 1 MiB. Throws {@link HostError}. */
  read(target: Uint8Array, offset: number): void {
    const length = checked(
      libc().pread(this.descriptor, target, target.length, offset),
      'pread',
      `read ${target.length} bytes of shared memory`,
    );
    if (length < target.length) throw new RangeError(`bytes from ${offset} on end after ${length}`);
  }

  /** Gives back the pages of a range; whoever has it mapped reads zeros from then on. Throws {@link HostError}. */
  punchHole(offset: number, length: number): void {
    const mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    checked(libc().fallocate(this.descriptor, mode, offset, length), 'fallocate', `free ${length} bytes`);
  }

  dispose(): void {
    if (this.#descriptor < 0) return;
    closeDescriptor(this.#descriptor);
    this.#descriptor = -1;
  }
}
