import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { MemoryFile } from './memory-file.ts';
import { MemoryMapping } from './memory-mapping.ts';

/** Bytes that are moved at once. */
const BLOCK = 0x1_0000;
const ZEROS = new Uint8Array(BLOCK);

/**
 * Memory of which only chosen pages can be shared. It starts as anonymous memory of this process; `share` moves pages into a
 * file, at the same offsets, and `unshare` moves them back. So the operating system itself keeps whoever gets `descriptor`
 * out of the rest: those bytes are in no file. What the pages hold stays, and so does `buffer`. Nobody else may write to
 * pages while they move. One owner: it unmaps and closes exactly once.
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

  /** Moves whole private pages into the file. Throws {@link HostError}, and then they are still private. */
  share(offset: number, length: number): void {
    this.#check(offset, length);
    // Whoever has the descriptor may have written where nothing was shared.
    this.#file.punchHole(offset, length);
    try {
      for (const block of blocks(this.buffer, offset, length)) {
        // Memory that was never used costs nothing: it stays a hole.
        if (!isZero(block)) this.#file.write(block, block.byteOffset);
      }
      this.#mapping.layFile(this.#file.descriptor, offset, length);
    } catch (error) {
      this.#file.punchHole(offset, length);
      throw error;
    }
  }

  /** Moves whole shared pages out of the file, and wipes what it had there. Throws {@link HostError}, and then they are still shared. */
  unshare(offset: number, length: number): void {
    this.#check(offset, length);
    const moved = new Uint8Array(BLOCK);
    this.#mapping.layAnonymous(offset, length);
    try {
      for (const block of blocks(this.buffer, offset, length)) {
        const content = moved.subarray(0, block.length);
        this.#file.read(content, block.byteOffset);
        if (!isZero(content)) block.set(content);
      }
    } catch (error) {
      this.#mapping.layFile(this.#file.descriptor, offset, length);
      throw error;
    }
    this.#file.punchHole(offset, length);
  }

  dispose(): void {
    this.#file.dispose();
    this.#mapping.dispose();
  }

  /** Before anything moves: half a page would take the other half along. */
  #check(offset: number, length: number): void {
    const isPages = offset % PAGE_SIZE === 0 && length % PAGE_SIZE === 0;
    if (isPages && offset >= 0 && length > 0 && offset + length <= this.size) return;
    throw new RangeError(`bytes ${offset}..${offset + length} are not whole pages of ${this.size} bytes of memory`);
  }
}

/** The parts of a range, in order; a part's `byteOffset` is its offset in memory and in the file. */
function* blocks(buffer: ArrayBuffer, offset: number, length: number): Generator<Uint8Array> {
  const end = offset + length;
  for (let at = offset; at < end; at += BLOCK) yield new Uint8Array(buffer, at, Math.min(BLOCK, end - at));
}

function isZero(bytes: Uint8Array): boolean {
  return Buffer.compare(bytes, ZEROS.subarray(0, bytes.length)) === 0;
}
