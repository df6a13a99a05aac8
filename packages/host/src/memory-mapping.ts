import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { libc } from './libc.ts';
import { checked, systemCallError } from './system-call.ts';

const PROT_NONE = 0;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 0x01;
const MAP_PRIVATE = 0x02;
const MAP_FIXED = 0x10;
const MAP_ANONYMOUS = 0x20;
const MAP_FAILED = 0xffff_ffff_ffff_ffffn;

/** A run of this process's addresses. Its pages can be exchanged in place, so that one ArrayBuffer stays valid over all of it. */
export class MemoryMapping {
  readonly size: number;
  readonly #address: bigint;
  /** Bytes behind the memory that nobody can access. */
  readonly #guard: number;
  #buffer: ArrayBuffer | undefined;

  private constructor(address: bigint, size: number, guard = 0) {
    this.#address = address;
    this.#guard = guard;
    this.size = size;
    this.#buffer = libc().view(address, size);
  }

  /** Maps memory that only this process has. Throws {@link HostError}. */
  static anonymous(size: number): MemoryMapping {
    return new MemoryMapping(map(0n, size, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), size);
  }

  /**
   * Maps memory for the kernel to pin, with a page behind it that nobody can access: whoever is handed a range that ends too late
   * gets EFAULT, and not what happens to be there. It is shared memory without a file, because a page of private memory is
   * copied when it is written to after it was pinned for reading, and then a device goes on with the old one. Throws {@link HostError}.
   */
  static pinnable(size: number): MemoryMapping {
    const length = size + PAGE_SIZE;
    const address = map(0n, length, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (libc().mprotect(address + BigInt(size), PAGE_SIZE, PROT_NONE) === 0)
      return new MemoryMapping(address, size, PAGE_SIZE);
    const error = systemCallError('mprotect', 'guard the end of memory');
    libc().munmap(address, length);
    throw error;
  }

  /** Maps `size` bytes of a file from `offset` on, shared with whoever else maps it. Throws {@link HostError}. */
  static ofFile(descriptor: number, size: number, offset = 0): MemoryMapping {
    return new MemoryMapping(map(0n, size, MAP_SHARED, descriptor, offset), size);
  }

  /** Where it is in this process. Throws `TypeError` after `dispose`. */
  get address(): bigint {
    return this.#at(0, this.size);
  }

  /**
   * All of the memory. Throws `TypeError` after `dispose`. Views made before must not be used then either: the addresses are
   * gone, and the process would crash.
   */
  get buffer(): ArrayBuffer {
    if (this.#buffer === undefined) throw new TypeError('this memory was given back');
    return this.#buffer;
  }

  /** Lays the pages of a file, from the same offset on, over part of the memory. Throws {@link HostError}. */
  layFile(descriptor: number, offset: number, length: number): void {
    map(this.#at(offset, length), length, MAP_FIXED | MAP_SHARED, descriptor, offset);
  }

  /** Lays fresh zero pages that only this process has over part of the memory. Throws {@link HostError}. */
  layAnonymous(offset: number, length: number): void {
    map(this.#at(offset, length), length, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  }

  /** Unmaps it; once, however often it is called. */
  dispose(): void {
    if (this.#buffer === undefined) return;
    this.#buffer = undefined;
    checked(libc().munmap(this.#address, this.size + this.#guard), 'munmap', `unmap ${this.size} bytes`);
  }

  /** MAP_FIXED replaces whatever is there, so what is outside must never get that far. */
  #at(offset: number, length: number): bigint {
    if (this.#buffer === undefined) throw new TypeError('this memory was given back');
    if (!Number.isInteger(offset) || !(offset >= 0) || !(length > 0) || offset + length > this.size) {
      throw new RangeError(`bytes ${offset}..${offset + length} are outside a mapping of ${this.size}`);
    }
    return this.#address + BigInt(offset);
  }
}

function map(address: bigint, length: number, flags: number, descriptor: number, offset: number): bigint {
  const result = libc().mmap(address, length, PROT_READ_WRITE, flags, descriptor, offset);
  if (result === null || result === MAP_FAILED) throw systemCallError('mmap', `map ${length} bytes`);
  return result;
}
