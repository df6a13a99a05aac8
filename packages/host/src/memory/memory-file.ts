import { checked, closeDescriptor, libc, systemCallError } from '../libc.ts';

const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const F_ADD_SEALS = 1033;
/** F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW. */
const SIZE_SEALS = 1 | 2 | 4;
const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;

/**
 * A file in memory (memfd_create(2)), sparse and zeroed. Its descriptor is passed to another process to share memory
 * with it. Its size is sealed, so the other process cannot crash this one, which has the file mapped, by shrinking the
 * file.
 */
export class MemoryFile {
  /** Bytes. */
  readonly size: number;
  #descriptor: number;

  private constructor(descriptor: number, size: number) {
    this.#descriptor = descriptor;
    this.size = size;
  }

  /** Creates a file of `size` bytes. `name` appears in /proc. Throws {@link HostError}. */
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

  /** Throws `TypeError` after `dispose`: another file may already have the number. */
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
    // A short write sets no errno; only the call for the rest would report that the file system is full.
    if (written < source.length) throw systemCallError('pwrite', 'write all of it', 'ENOSPC');
  }

  /** Fills `target`, up to 1 MiB. Throws {@link HostError}, and `RangeError` where the file ends before. */
  read(target: Uint8Array, offset: number): void {
    const length = checked(
      libc().pread(this.descriptor, target, target.length, offset),
      'pread',
      `read ${target.length} bytes of shared memory`,
    );
    if (length < target.length) throw new RangeError(`bytes from ${offset} on end after ${length}`);
  }

  /** Frees the pages of a range. Every process that maps the file then reads zeros there. Throws {@link HostError}. */
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
