import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { MemoryMapping } from '@virtio-platform/host';

/** Addresses and sizes of the kernel's requests have 64 bits. */
const WRAP = 2 ** 64;

/** Guest memory as a part of this process, which the kernel pins and maps for a device. */
export class ProcessMemory {
  readonly size: number;
  readonly #mapping: MemoryMapping;
  readonly #start: number;

  private constructor(mapping: MemoryMapping) {
    this.size = mapping.size;
    this.#mapping = mapping;
    // Linux gives a process addresses below 2^47 unless it asks for others, so a number holds one.
    this.#start = Number(mapping.address);
  }

  /** Throws {@link HostError}. */
  static create(size: number): ProcessMemory {
    return new ProcessMemory(MemoryMapping.pinnable(size));
  }

  get buffer(): ArrayBuffer {
    return this.#mapping.buffer;
  }

  /** Whether a request of the kernel's can hold a number. */
  static isWord(value: number): boolean {
    return Number.isInteger(value) && value >= 0 && value < WRAP;
  }

  /** Whether the kernel can be asked about a range: whole numbers of 64 bits. Everything else it checks itself. */
  static isRange(start: number, size: number): boolean {
    return ProcessMemory.isWord(start) && ProcessMemory.isWord(size) && start + size <= WRAP;
  }

  /**
   * Where in this process a byte of guest memory is. For every byte outside, one of the inaccessible page behind it: a device must
   * never be given the rest of the process, whatever address somebody asks for. Hot: no allocation.
   */
  userAddress(address: number): number {
    const isInside = address >= 0 && address < this.size;
    return this.#start + (isInside ? address : this.size + (Math.abs(address) % PAGE_SIZE));
  }

  dispose(): void {
    this.#mapping.dispose();
  }
}
