import { readFileSync } from 'node:fs';
import { checkMemorySize, PAGE_SIZE, type TakenRange } from '@virtio-platform/core/memory';
import { checked, libc, NativeBuffer, systemCallError } from '../libc.ts';

const PROT_NONE = 0;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 0x01;
const MAP_PRIVATE = 0x02;
const MAP_FIXED = 0x10;
const MAP_ANONYMOUS = 0x20;
/** The kernel gives pages at their first use, and counts none before: memory of a guest is sparse. */
const MAP_NORESERVE = 0x4000;
const MREMAP_MAYMOVE = 1;
const MREMAP_FIXED = 2;
const MAP_FAILED = 0xffff_ffff_ffff_ffffn;

const ANONYMOUS = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

/**
 * A range of this process's addresses. Its pages can be replaced in place, so one ArrayBuffer over it stays valid. Its
 * creators throw {@link CodedError} `ERR_MACHINE_MEMORY` for more than this Node has in one array: the native view of a
 * longer one would abort the process.
 */
export class MemoryMapping {
  /** Bytes. */
  readonly size: number;
  readonly #address: bigint;
  /** Bytes of the inaccessible page behind the memory. */
  readonly #guard: number;
  #buffer: ArrayBuffer | undefined;

  private constructor(address: bigint, size: number, guard = 0) {
    this.#address = address;
    this.#guard = guard;
    this.size = size;
    this.#buffer = libc().view(address, size);
  }

  /** Maps private memory of this process. Throws {@link HostError}. */
  static anonymous(size: number): MemoryMapping {
    checkMemorySize(size);
    return new MemoryMapping(map(0n, size, ANONYMOUS, -1, 0), size);
  }

  /**
   * Maps memory for the kernel to pin, with an inaccessible page behind it: a system call with a range that ends too
   * late fails with EFAULT, and reaches no other memory of the process. It is shared memory without a file, because the
   * kernel copies a page of private memory that is written to after it was pinned for reading, and the device would go
   * on with the old page. Throws {@link HostError}.
   */
  static pinnable(size: number): MemoryMapping {
    checkMemorySize(size);
    const length = size + PAGE_SIZE;
    const address = map(0n, length, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (libc().mprotect(address + BigInt(size), PAGE_SIZE, PROT_NONE) === 0)
      return new MemoryMapping(address, size, PAGE_SIZE);
    const error = systemCallError('mprotect', 'guard the end of memory');
    libc().munmap(address, length);
    throw error;
  }

  /**
   * Maps the memory of {@link pinnable} at other addresses too, with an inaccessible page behind it as well: both
   * mappings have the same pages. Throws {@link HostError}, and `TypeError` after `dispose`.
   */
  alias(): MemoryMapping {
    const length = this.size + PAGE_SIZE;
    const address = map(0n, length, ANONYMOUS, -1, 0);
    const end = address + BigInt(this.size);
    // Of shared memory, 0 bytes are moved to the new place, and the mapping is made there as well.
    const moved = libc().mremap(this.address, 0, this.size, MREMAP_MAYMOVE | MREMAP_FIXED, address);
    const isMapped = moved !== null && moved !== MAP_FAILED;
    if (isMapped && libc().mprotect(end, PAGE_SIZE, PROT_NONE) === 0)
      return new MemoryMapping(address, this.size, PAGE_SIZE);
    const error = systemCallError(isMapped ? 'mprotect' : 'mremap', `map ${this.size} bytes a second time`);
    libc().munmap(address, length);
    throw error;
  }

  /**
   * Maps `size` bytes of a file from `offset` on, shared with every process that maps them. Throws {@link HostError}.
   */
  static ofFile(descriptor: number, size: number, offset = 0): MemoryMapping {
    checkMemorySize(size);
    return new MemoryMapping(map(0n, size, MAP_SHARED, descriptor, offset), size);
  }

  /**
   * Maps `size` bytes of a file as {@link ofFile} does, around a hole: private memory of this process, which no other
   * process sees. The file continues behind the hole where it stopped in front of it. Throws {@link HostError}.
   */
  static ofFileAround(descriptor: number, size: number, hole: TakenRange): MemoryMapping {
    const mapping = MemoryMapping.anonymous(size + hole.length);
    const end = hole.address + hole.length;
    try {
      if (hole.address > 0) mapping.mapFilePages(descriptor, 0, hole.address);
      mapping.mapFilePages(descriptor, end, size - hole.address, hole.address);
      return mapping;
    } catch (error) {
      mapping.dispose();
      throw error;
    }
  }

  /** The address of the memory in this process. Throws `TypeError` after `dispose`. */
  get address(): bigint {
    return this.#at(0, this.size);
  }

  /**
   * All of the memory. Throws `TypeError` after `dispose`. Views made before must not be used then either: the
   * addresses are unmapped, and an access crashes the process.
   */
  get buffer(): ArrayBuffer {
    if (this.#buffer === undefined) throw new TypeError('this memory was unmapped');
    return this.#buffer;
  }

  /**
   * Replaces a range of the memory by the pages of a file, at the same offset unless another is given. Throws
   * {@link HostError}.
   */
  mapFilePages(descriptor: number, offset: number, length: number, fileOffset: number = offset): void {
    map(this.#at(offset, length), length, MAP_FIXED | MAP_SHARED, descriptor, fileOffset);
  }

  /** Replaces a range of the memory by zeroed private pages of this process. Throws {@link HostError}. */
  mapAnonymousPages(offset: number, length: number): void {
    map(this.#at(offset, length), length, MAP_FIXED | ANONYMOUS, -1, 0);
  }

  /** Unmaps the memory, at the first call. */
  dispose(): void {
    if (this.#buffer === undefined) return;
    this.#buffer = undefined;
    checked(libc().munmap(this.#address, this.size + this.#guard), 'munmap', `unmap ${this.size} bytes`);
  }

  /** MAP_FIXED replaces other memory of the process too, so a range outside of this memory is refused here. */
  #at(offset: number, length: number): bigint {
    if (this.#buffer === undefined) throw new TypeError('this memory was unmapped');
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

const RLIMIT_MEMLOCK = 8;
const RLIM_INFINITY = 2n ** 64n - 1n;
const CAP_IPC_LOCK = 14n;

/**
 * Bytes that the kernel lets this process lock (`ulimit -l`); `undefined` where there is no limit, as with
 * CAP_IPC_LOCK. Throws {@link HostError}.
 */
export function memoryLockLimit(): number | undefined {
  if (hasCapability(CAP_IPC_LOCK)) return undefined;
  const limits = new NativeBuffer(16);
  try {
    checked(libc().getrlimit(RLIMIT_MEMLOCK, limits.address), 'getrlimit', 'ask for the memory-lock limit');
    // The first word is the soft limit, which the kernel applies. The second is the hard limit.
    const soft = limits.bytes.getBigUint64(0, true);
    return soft === RLIM_INFINITY ? undefined : Number(soft);
  } finally {
    limits.dispose();
  }
}

/** Bytes that this process has locked, which count against its limit: VmLck of proc(5). */
export function lockedMemory(): number | undefined {
  const kibibytes = /^VmLck:\s*(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  return kibibytes === undefined ? undefined : Number(kibibytes) * 1024;
}

/** proc(5): the effective capabilities are one hexadecimal number. */
function hasCapability(bit: bigint): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  return effective !== undefined && ((BigInt(`0x${effective}`) >> bit) & 1n) === 1n;
}
