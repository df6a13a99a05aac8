import { MemoryFile } from './memory-file.ts';
import { MemoryMapping } from './memory-mapping.ts';

/**
 * Memory of which only chosen pages can be shared. It starts as anonymous memory of this process; `share` lays pages of a
 * file over a range, at the same offsets. So the operating system itself keeps whoever gets `descriptor` out of the rest:
 * those bytes are in no file. Converting loses what the pages held. One owner: it unmaps and closes exactly once.
 */
export class ConvertibleMemory {
  readonly size: number;
  readonly #file: MemoryFile;
  readonly #mapping: MemoryMapping;

  private constructor(file: MemoryFile, mapping: MemoryMapping) {
    this.size = file.size;
    this.#file = file;
    this.#mapping = mapping;
  }

  /** Creates `size` zeroed bytes, all private; a multiple of the page size. Throws {@link HostError}. */
  static create(size: number): ConvertibleMemory {
    const file = MemoryFile.create('virtio-platform', size);
    try {
      return new ConvertibleMemory(file, MemoryMapping.anonymous(size));
    } catch (error) {
      file.dispose();
      throw error;
    }
  }

  /** The memory, private and shared. Throws `TypeError` after `dispose`; views made before must not be used then. */
  get buffer(): ArrayBuffer {
    return this.#mapping.buffer;
  }

  /** A file with the shared pages at their offsets, and holes elsewhere. Throws `TypeError` after `dispose`. */
  get descriptor(): number {
    return this.#file.descriptor;
  }

  /** Replaces whole pages by zeroed ones that are in the file. Throws {@link HostError}. */
  share(offset: number, length: number): void {
    this.#mapping.layFile(this.#file.descriptor, offset, length);
  }

  /** Replaces whole pages by zeroed ones that are not, and wipes what the file had there. Throws {@link HostError}. */
  unshare(offset: number, length: number): void {
    this.#mapping.layAnonymous(offset, length);
    this.#file.punchHole(offset, length);
  }

  dispose(): void {
    this.#file.dispose();
    this.#mapping.dispose();
  }
}
