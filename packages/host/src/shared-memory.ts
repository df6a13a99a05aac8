import { MemoryFile } from './memory-file.ts';
import { MemoryMapping } from './memory-mapping.ts';

/** Memory that can be shared with another process by passing it `descriptor`. One owner: it unmaps and closes exactly once. */
export class SharedMemory {
  readonly size: number;
  readonly #file: MemoryFile;
  readonly #mapping: MemoryMapping;

  private constructor(file: MemoryFile, mapping: MemoryMapping) {
    this.size = file.size;
    this.#file = file;
    this.#mapping = mapping;
  }

  /** Creates `size` zeroed bytes; a multiple of the page size. Throws {@link HostError}. */
  static create(size: number): SharedMemory {
    const file = MemoryFile.create('virtio-platform', size);
    try {
      return new SharedMemory(file, MemoryMapping.ofFile(file.descriptor, size));
    } catch (error) {
      file.dispose();
      throw error;
    }
  }

  /** The memory. Throws `TypeError` after `dispose`; views made before must not be used then. */
  get buffer(): ArrayBuffer {
    return this.#mapping.buffer;
  }

  /** A file that holds the same bytes, from offset 0. Throws `TypeError` after `dispose`. */
  get descriptor(): number {
    return this.#file.descriptor;
  }

  dispose(): void {
    this.#file.dispose();
    this.#mapping.dispose();
  }
}
