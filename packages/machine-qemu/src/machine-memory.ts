import { CodedError } from '@virtio-platform/core';
import { formatByteSize } from '@virtio-platform/core/memory';
import { ConvertibleMemory, SharedMemory } from '@virtio-platform/host';
import type { BoardName } from './options.ts';

/** What a board takes as memory: at most, and a multiple of. More than this would lie above 4 GiB, or where devices are. */
const SIZES: Readonly<Record<BoardName, { readonly most: number; readonly unit: number }>> = {
  pc: { most: 2 ** 31, unit: 2 ** 20 },
  q35: { most: 2 ** 31, unit: 2 ** 20 },
  pseries: { most: 2 ** 33, unit: 2 ** 28 },
};

/** Not for drivers: a PC has no memory in parts of it, and on POWER it has the firmware and what is given to it. */
export const RESERVED_BYTES: number = 2 ** 20;

/**
 * Creates memory that QEMU can map, through a descriptor; all of it, or of protected memory the pages that are shared. Throws
 * `ERR_MACHINE_MEMORY` for a size that the board does not take, and {@link HostError}.
 */
export function createMachineMemory(
  board: BoardName,
  size: number,
  isProtected: boolean,
): ConvertibleMemory | SharedMemory {
  const { most, unit } = SIZES[board];
  if (size % unit !== 0 || size > most || size <= RESERVED_BYTES) {
    throw new CodedError('ERR_MACHINE_MEMORY', `QEMU's ${board} does not take ${formatByteSize(size)} of memory`, {
      hint: `set machine.memory to a multiple of ${formatByteSize(unit)}, at most ${formatByteSize(most)}`,
    });
  }
  return isProtected ? ConvertibleMemory.create(size) : SharedMemory.create(size);
}
