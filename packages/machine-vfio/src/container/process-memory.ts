import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { MemoryMapping } from '@virtio-platform/host';

/** Addresses and sizes in the kernel's requests have 64 bits. */
const WRAP = 2 ** 64;

/** Guest memory as a range of this process's addresses, which the kernel pins and maps for a device. */
export class ProcessMemory {
  /** Bytes. */
  readonly size: number;
  readonly #mapping: MemoryMapping;
  /** The same memory at the addresses that the kernel is given, after {@link relocate}. */
  #alias: MemoryMapping | undefined;
  #start: number;

  private constructor(mapping: MemoryMapping) {
    this.size = mapping.size;
    this.#mapping = mapping;
    // Linux gives a process addresses below 2^47 unless it asks for others, so a number is exact.
    this.#start = Number(mapping.address);
  }

  /** Maps `size` bytes. Throws {@link HostError}. */
  static create(size: number): ProcessMemory {
    return new ProcessMemory(MemoryMapping.pinnable(size));
  }

  get buffer(): ArrayBuffer {
    return this.#mapping.buffer;
  }

  /** Whether a 64-bit word can hold the number. */
  static isWord(value: number): boolean {
    return Number.isInteger(value) && value >= 0 && value < WRAP;
  }

  /** Whether 64-bit words can hold the start, the size and the end of a range. The kernel checks everything else. */
  static isRange(start: number, size: number): boolean {
    return ProcessMemory.isWord(start) && ProcessMemory.isWord(size) && start + size <= WRAP;
  }

  /**
   * The process address of a byte of guest memory. For every address outside of guest memory it is an address in the
   * inaccessible page behind it, so a device never gets other memory of the process. Hot: no allocation.
   */
  userAddress(address: number): number {
    const isInside = address >= 0 && address < this.size;
    return this.#start + (isInside ? address : this.size + (Math.abs(address) % PAGE_SIZE));
  }

  /**
   * Maps the memory at other addresses too, and gives the kernel those from now on. It is how a process that called
   * exec sees the memory of the one before. Throws {@link HostError}.
   */
  relocate(): void {
    const alias = this.#mapping.alias();
    this.#alias?.dispose();
    this.#alias = alias;
    this.#start = Number(alias.address);
  }

  dispose(): void {
    this.#alias?.dispose();
    this.#mapping.dispose();
  }
}
