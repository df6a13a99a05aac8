import { checkConversion, PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';
import type { ConvertibleMemory } from '@virtio-platform/host';
import type { MemoryConversion } from '@virtio-platform/platform-sev';

/**
 * Private memory kept by the operating system: QEMU's memory is a file that has only the shared pages, and what is private is in
 * this process alone. Pages are zero after a conversion, so neither side sees what the other had there.
 */
export class FileMemoryConversion implements MemoryConversion {
  readonly #memory: GuestMemory;
  readonly #backing: ConvertibleMemory;
  /** One for each page that is shared. */
  readonly #isShared: Uint8Array;

  /** `backing` is the memory itself, all private, and stays its owner's. */
  constructor(memory: GuestMemory, backing: ConvertibleMemory) {
    this.#memory = memory;
    this.#backing = backing;
    this.#isShared = new Uint8Array(memory.size / PAGE_SIZE);
  }

  setShared(address: number, length: number): boolean {
    checkConversion(this.#memory, address, length);
    for (const { start, size } of this.#runs(address, length, 0)) {
      this.#memory.u8.fill(0, start, start + size);
      this.#backing.share(start, size);
      this.#isShared.fill(1, start / PAGE_SIZE, (start + size) / PAGE_SIZE);
    }
    return true;
  }

  setPrivate(address: number, length: number): boolean {
    checkConversion(this.#memory, address, length);
    for (const { start, size } of this.#runs(address, length, 1)) {
      this.#backing.unshare(start, size);
      this.#memory.u8.fill(0, start, start + size);
      this.#isShared.fill(0, start / PAGE_SIZE, (start + size) / PAGE_SIZE);
    }
    return true;
  }

  /** The runs of pages in a range that are in one state. */
  #runs(address: number, length: number, state: number): { readonly start: number; readonly size: number }[] {
    const runs: { start: number; size: number }[] = [];
    const end = (address + length) / PAGE_SIZE;
    for (let page = address / PAGE_SIZE; page < end; page++) {
      const first = page;
      while (page < end && this.#isShared[page] === state) page++;
      if (page > first) runs.push({ start: first * PAGE_SIZE, size: (page - first) * PAGE_SIZE });
    }
    return runs;
  }
}
