import { CodedError } from '@virtio-platform/core';
import { checkConversion, formatByteSize, PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';
import { ConvertibleMemory, SharedMemory } from '@virtio-platform/host';
import type { MemoryConversion } from '@virtio-platform/platform-sev';
import type { BoardName } from './options.ts';

/**
 * The sizes of memory that a board supports: at most `most` bytes, and a multiple of `unit`. More memory would be above
 * 4 GiB, or at the addresses of devices.
 */
const SIZES: Readonly<Record<BoardName, { readonly most: number; readonly unit: number }>> = {
  pc: { most: 2 ** 31, unit: 2 ** 20 },
  q35: { most: 2 ** 31, unit: 2 ** 20 },
  pseries: { most: 2 ** 33, unit: 2 ** 28 },
};

/**
 * Bytes at the start of memory that the driver does not get. A PC has no memory in parts of them. On POWER they have
 * the firmware and the arguments of its calls.
 */
export const RESERVED_BYTES: number = 2 ** 20;

/**
 * Creates memory that QEMU maps through a descriptor: all of it, or the shared pages of protected memory. Throws
 * `ERR_MACHINE_MEMORY` for a size that the board does not support, and {@link HostError}.
 */
export function createMachineMemory(board: BoardName, size: number, isProtected: boolean): SharedMemory {
  const { most, unit } = SIZES[board];
  if (size % unit !== 0 || size > most || size <= RESERVED_BYTES) {
    throw new CodedError('ERR_MACHINE_MEMORY', `QEMU's ${board} does not take ${formatByteSize(size)} of memory`, {
      hint: `set machine.memory to a multiple of ${formatByteSize(unit)}, at most ${formatByteSize(most)}`,
    });
  }
  return isProtected ? ConvertibleMemory.create(size) : SharedMemory.create(size);
}

/**
 * Private memory, which the operating system enforces: the file that QEMU maps has only the shared pages, and private
 * pages are in this process alone. A conversion zeroes the pages, so neither side sees the content from before.
 */
export class FileMemoryConversion implements MemoryConversion {
  readonly #memory: GuestMemory;
  readonly #backing: ConvertibleMemory;
  /** By page: 1 where it is shared. */
  readonly #isShared: Uint8Array;

  /** `backing` is the memory itself, all private. The caller keeps and disposes of it. */
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

  /** The runs of pages in a range that are in the state `state`: 1 for shared, 0 for private. */
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
