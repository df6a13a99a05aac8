import { CodedError, DmaError } from '@virtio-platform/core';
import { ENOMEM, errnoName } from '../container/errno.ts';
import {
  VFIO_DMA_MAP_FLAG_VADDR,
  VFIO_DMA_UNMAP_FLAG_ALL,
  VFIO_DMA_UNMAP_FLAG_VADDR,
  VFIO_UPDATE_VADDR,
  type Type1Container,
  type VfioContainer,
} from '../container/vfio-container.ts';
import { memoryLockNeeds } from './memory-lock-needs.ts';

/** A mapping as the container knows it, in whole pages. */
export interface KeptMapping {
  /** Guest-physical address of its first byte. */
  readonly address: number;
  readonly iova: number;
  readonly size: number;
}

/**
 * Has the process call exec and the devices go on: invalidates the memory addresses of all mappings, calls exec, and
 * gives each mapping the address that the next process has for the same memory. A device reaches its buffers all the
 * time; what it counts as locked memory moves to the next process.
 *
 * Throws {@link CodedError} `ERR_PLUGIN_EXEC` where the container cannot do it, and then nothing happened; {@link
 * DmaError} `ERR_DMA_EXHAUSTED` where the next process may not lock as much, `ERR_DMA_RANGE` for any other refusal.
 */
export function keepOverExec(container: VfioContainer, mappings: readonly KeptMapping[]): void {
  if (!canExec(container)) {
    throw new CodedError('ERR_PLUGIN_EXEC', `a container of ${container.type} keeps no mappings over exec`, {
      hint: 'use a container of VFIO itself, type1v2, whose kernel has the extension VFIO_UPDATE_VADDR (Linux 5.12)',
    });
  }
  if (mappings.length > 0) check(container.unmapDma(0, 0, VFIO_DMA_UNMAP_FLAG_ALL | VFIO_DMA_UNMAP_FLAG_VADDR));
  container.exec();
  const all = mappings.reduce((sum, { size }) => sum + size, 0);
  const option = 'platform.afterExec.memoryLockLimit';
  let own = 0;
  for (const { address, iova, size } of mappings) {
    const result = container.mapDma(address, iova, size, VFIO_DMA_MAP_FLAG_VADDR);
    if (result === ENOMEM) {
      const { state, hint } = memoryLockNeeds(container.info(), { own, wanted: all - own, option });
      const what = `the process after exec cannot take over ${size} bytes mapped at I/O virtual address`;
      throw new DmaError('ERR_DMA_EXHAUSTED', `${what} 0x${iova.toString(16)}: ENOMEM; ${state}`, { hint });
    }
    check(result);
    own += size;
  }
}

/** Whether mappings of a container can be kept over exec: it has the extension, and a process that can be replaced. */
function canExec(container: VfioContainer): container is Type1Container & Required<Pick<Type1Container, 'exec'>> {
  if (!('checkExtension' in container) || container.exec === undefined) return false;
  return container.checkExtension(VFIO_UPDATE_VADDR) === 1;
}

function check(result: number): void {
  if (result >= 0) return;
  throw new DmaError('ERR_DMA_RANGE', `cannot update the memory addresses of mappings: ${errnoName(result)}`, {
    hint: 'something else uses this container, or invalidated its mappings before',
  });
}
