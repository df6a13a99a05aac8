import { DmaError } from '@virtio-platform/core';
import { ENOMEM, ENOSPC, errnoName } from '../container/errno.ts';
import type { RefusedMapping } from './dma-window.ts';

/** Puts a refused mapping into words, with what to do about it where that is known. */
export function explainRefusal(
  refused: RefusedMapping,
  { memoryLockLimit, available }: { readonly memoryLockLimit: number | undefined; readonly available?: number },
): DmaError {
  const { errno, address, iova, size, pinnedBytes } = refused;
  const where = iova === undefined ? 'an I/O virtual address' : `I/O virtual address 0x${iova.toString(16)}`;
  const what = `cannot map ${size} bytes at 0x${address.toString(16)} to ${where}: ${errnoName(errno)}`;
  if (errno === ENOMEM) {
    const limit =
      memoryLockLimit === undefined ? 'and the kernel has no memory for it' : `of the ${memoryLockLimit} that may be`;
    return new DmaError('ERR_DMA_EXHAUSTED', `${what}; ${pinnedBytes} bytes are pinned, ${limit}`, {
      hint: `${raiseMemoryLock(pinnedBytes + size)}, or use smaller buffers and queues`,
    });
  }
  if (errno === ENOSPC && available !== undefined) {
    return new DmaError('ERR_DMA_EXHAUSTED', `${what}; the container takes ${available} more mappings`, {
      hint: 'raise dma_entry_limit of vfio_iommu_type1 (platform.entryLimit on the simulated machine), or map fewer, larger buffers',
    });
  }
  if (errno === ENOSPC) {
    return new DmaError('ERR_DMA_EXHAUSTED', `${what}; no range of addresses is free for it`, {
      hint: 'map less at a time, or reserve less (platform.reserved, platform.iovaStart)',
    });
  }
  return new DmaError('ERR_DMA_RANGE', what, {
    hint: 'the memory lies outside the process, or something else uses these I/O virtual addresses',
  });
}

/** What to do when `bytes` have to be locked and the limit is lower. */
export function raiseMemoryLock(bytes: number): string {
  const kibibytes = Math.ceil(bytes / 1024);
  const commands = `ulimit -l ${kibibytes}; where that is refused, sudo prlimit --pid $$ --memlock=${kibibytes * 1024}`;
  return `raise the memory-lock limit to at least ${kibibytes}KiB (${commands}; platform.memoryLockLimit on the simulated machine)`;
}
