import { CodedError } from '@virtio-platform/core';
import {
  checkConversion,
  formatByteSize,
  memorySizeProblem,
  MOST_MEMORY,
  NODE_FOR_LARGE_MEMORY,
  PAGE_SIZE,
  type GuestMemory,
  type MemorySizeProblem,
  type TakenRange,
} from '@virtio-platform/core/memory';
import { ConvertibleMemory, SharedMemory } from '@virtio-platform/host';
import type { MemoryConversion } from '@virtio-platform/platform-sev';
import type { BoardName } from './board/board-name.ts';

/** The sizes of memory that a board supports: at most `most` bytes, and a multiple of `unit`. */
const SIZES: Readonly<Record<BoardName, { readonly most: number; readonly unit: number }>> = {
  pc: { most: 2 ** 33, unit: 2 ** 20 },
  q35: { most: 2 ** 33, unit: 2 ** 20 },
  pseries: { most: 2 ** 33, unit: 2 ** 28 },
  microvm: { most: 2 ** 31, unit: 2 ** 20 },
  virt: { most: 2 ** 31, unit: 2 ** 20 },
};

/**
 * The memory of a PC below 4 GiB, in bytes, by its property max-ram-below-4g. The devices have the addresses from there
 * to 4 GiB, and the rest of memory lies above.
 */
export const PC_LOW_MEMORY: number = 2 ** 31;
const HIGH_MEMORY = 2 ** 32;
/** Where the memory of `virt` begins: below are its flash and its devices (QEMU hw/arm/virt.c, VIRT_MEM). */
const ARM_MEMORY = 2 ** 30;

/**
 * Bytes at the start of memory that the driver does not get. A PC has no memory in parts of them. On POWER they have
 * the firmware and the arguments of its calls.
 */
export const RESERVED_BYTES: number = 2 ** 20;

/** The first guest-physical address that the driver gets. */
export function firstDriverAddress(board: BoardName): number {
  return (board === 'virt' ? ARM_MEMORY : 0) + RESERVED_BYTES;
}

/** The guest-physical addresses below the end of memory where a board with `size` bytes has no memory. */
export function memoryHole(board: BoardName, size: number): TakenRange | undefined {
  if (board === 'virt') return { address: 0, length: ARM_MEMORY };
  if (board === 'pseries' || size <= PC_LOW_MEMORY) return undefined;
  return { address: PC_LOW_MEMORY, length: HIGH_MEMORY - PC_LOW_MEMORY };
}

/**
 * Why a board cannot have `size` bytes of memory, protected or not, and what to do; `undefined` where it can. The array
 * of this process that holds the memory also holds the hole.
 */
export function boardMemoryProblem(
  board: BoardName,
  size: number,
  isProtected: boolean,
): MemorySizeProblem | undefined {
  const { most: largest, unit } = SIZES[board];
  const hole = memoryHole(board, size)?.length ?? 0;
  const most = isProtected ? PC_LOW_MEMORY : largest;
  if (size % unit !== 0 || size > most || size <= RESERVED_BYTES) {
    return {
      message: `QEMU's ${board} does not take ${formatByteSize(size)} of ${isProtected ? 'protected ' : ''}memory`,
      hint: `set machine.memory to a multiple of ${formatByteSize(unit)}, at most ${formatByteSize(most)}`,
    };
  }
  const problem = memorySizeProblem(size + hole);
  if (problem === undefined) return undefined;
  const isHoleAbove = board !== 'virt' && hole > 0;
  const possible = !isHoleAbove ? Math.min(most, MOST_MEMORY) : PC_LOW_MEMORY;
  const above = `: ${board} has ${formatByteSize(size - PC_LOW_MEMORY)} of ${formatByteSize(size)} above 4GiB`;
  return {
    message: !isHoleAbove ? problem.message : problem.message + above,
    hint: `use ${NODE_FOR_LARGE_MEMORY}, or set machine.memory to a multiple of ${formatByteSize(unit)}, at most ${formatByteSize(possible)}`,
  };
}

/**
 * Creates memory that QEMU maps through a descriptor: all of it, or the shared pages of protected memory. Throws
 * `ERR_MACHINE_MEMORY` for a size that the board or this Node does not support, and {@link HostError}.
 */
export function createMachineMemory(board: BoardName, size: number, isProtected: boolean): SharedMemory {
  const problem = boardMemoryProblem(board, size, isProtected);
  if (problem !== undefined) throw new CodedError('ERR_MACHINE_MEMORY', problem.message, { hint: problem.hint });
  return isProtected ? ConvertibleMemory.create(size) : SharedMemory.create(size, memoryHole(board, size));
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
