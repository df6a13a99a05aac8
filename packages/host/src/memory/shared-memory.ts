import { PAGE_SIZE, type TakenRange } from '@virtio-platform/core/memory';
import { MemoryFile } from './memory-file.ts';
import { MemoryMapping } from './memory-mapping.ts';

/**
 * Memory that another process shares once it has `descriptor`. It has one owner, whose `dispose` unmaps the memory and
 * closes the file.
 */
export class SharedMemory {
  /** Bytes. */
  readonly size: number;
  readonly #file: MemoryFile;
  readonly #mapping: MemoryMapping;

  protected constructor(file: MemoryFile, mapping: MemoryMapping) {
    this.size = file.size;
    this.#file = file;
    this.#mapping = mapping;
  }

  /**
   * Creates `size` zeroed bytes; a multiple of the page size. With a hole, the file has no bytes for the hole, which
   * lies in the memory and is not shared. Throws {@link HostError}.
   */
  static create(size: number, hole?: TakenRange): SharedMemory {
    return withFile(size, (file) => {
      const { descriptor } = file;
      const isWhole = hole === undefined;
      return new SharedMemory(
        file,
        isWhole ? MemoryMapping.ofFile(descriptor, size) : MemoryMapping.ofFileAround(descriptor, size, hole),
      );
    });
  }

  /** The memory. Throws `TypeError` after `dispose`; views made before must not be used then. */
  get buffer(): ArrayBuffer {
    return this.#mapping.buffer;
  }

  /**
   * The file that has the shared bytes, at their offsets in memory unless there is a hole. Throws `TypeError` after
   * `dispose`.
   */
  get descriptor(): number {
    return this.#file.descriptor;
  }

  dispose(): void {
    this.#file.dispose();
    this.#mapping.dispose();
  }
}

/** Bytes that `share` and `unshare` move at once. */
const BLOCK = 0x1_0000;
const ZEROS = new Uint8Array(BLOCK);

/**
 * Memory of which only chosen pages are shared. It starts as private anonymous memory. `share` moves pages into the
 * file, at the same offsets, and `unshare` moves them back; both keep the content of the pages and `buffer`. The other
 * pages are in no file, so the operating system itself keeps a process that has `descriptor` out of them. No other
 * thread may write to pages while they move.
 */
export class ConvertibleMemory extends SharedMemory {
  readonly #file: MemoryFile;
  readonly #mapping: MemoryMapping;

  private constructor(file: MemoryFile, mapping: MemoryMapping) {
    super(file, mapping);
    this.#file = file;
    this.#mapping = mapping;
  }

  /** Creates `size` zeroed bytes, all private; a multiple of the page size. Throws {@link HostError}. */
  static override create(size: number): ConvertibleMemory {
    return withFile(size, (file) => new ConvertibleMemory(file, MemoryMapping.anonymous(size)));
  }

  /** Moves whole private pages into the file. Throws {@link HostError}; the pages are still private then. */
  share(offset: number, length: number): void {
    this.#check(offset, length);
    // A process that has the descriptor can write to parts of the file that are not shared.
    this.#file.punchHole(offset, length);
    try {
      for (const block of blocks(this.buffer, offset, length)) {
        // Memory that was never used stays a hole in the file, which takes no memory.
        if (!isZero(block)) this.#file.write(block, block.byteOffset);
      }
      this.#mapping.mapFilePages(this.#file.descriptor, offset, length);
    } catch (error) {
      this.#file.punchHole(offset, length);
      throw error;
    }
  }

  /**
   * Moves whole shared pages out of the file, and frees their place in the file. Throws {@link HostError}; the pages
   * are still shared then.
   */
  unshare(offset: number, length: number): void {
    this.#check(offset, length);
    const moved = new Uint8Array(BLOCK);
    this.#mapping.mapAnonymousPages(offset, length);
    try {
      for (const block of blocks(this.buffer, offset, length)) {
        const content = moved.subarray(0, block.length);
        this.#file.read(content, block.byteOffset);
        if (!isZero(content)) block.set(content);
      }
    } catch (error) {
      this.#mapping.mapFilePages(this.#file.descriptor, offset, length);
      throw error;
    }
    this.#file.punchHole(offset, length);
  }

  /** Runs before pages move: to move a part of a page would move the rest of the page too. */
  #check(offset: number, length: number): void {
    const isPages = offset % PAGE_SIZE === 0 && length % PAGE_SIZE === 0;
    if (isPages && offset >= 0 && length > 0 && offset + length <= this.size) return;
    throw new RangeError(`bytes ${offset}..${offset + length} are not whole pages of ${this.size} bytes of memory`);
  }
}

/** Creates a file and the memory over it. Closes the file where the memory cannot be created. */
function withFile<Memory>(size: number, create: (file: MemoryFile) => Memory): Memory {
  const file = MemoryFile.create('virtio-platform', size);
  try {
    return create(file);
  } catch (error) {
    file.dispose();
    throw error;
  }
}

/** The parts of a range, in order. The `byteOffset` of a part is its offset in memory and in the file. */
function* blocks(buffer: ArrayBuffer, offset: number, length: number): Generator<Uint8Array> {
  const end = offset + length;
  for (let at = offset; at < end; at += BLOCK) yield new Uint8Array(buffer, at, Math.min(BLOCK, end - at));
}

function isZero(bytes: Uint8Array): boolean {
  return Buffer.compare(bytes, ZEROS.subarray(0, bytes.length)) === 0;
}
