import { DmaError } from '@virtio-platform/core';
import { EEXIST, EFAULT, EINVAL, ENOMEM, ENOSPC, errnoName } from '../container/errno.ts';
import type { Type1Container } from '../container/vfio-container.ts';
import { memoryLockNeeds, type LockedMemory, type LockRequest } from './memory-lock-needs.ts';
import { usableRanges } from './usable-ranges.ts';

/** A mapping that the kernel refused. */
export interface RefusedMapping {
  readonly errno: number;
  readonly address: number;
  /** The requested I/O virtual address; `undefined` when the kernel was to choose it. */
  readonly iova: number | undefined;
  readonly size: number;
  /** Bytes that this process has mapped already. */
  readonly pinnedBytes: number;
  /** What the kernel locks for it, where that is not the memory that is mapped. */
  readonly lock?: LockRequest | undefined;
}

/**
 * I/O virtual addresses at which the process can map, after the steps that its kind of container requires before
 * mapping.
 */
export interface IovaWindow {
  readonly pageSize: number;
  /** First address and bytes of each range, in ascending order. */
  readonly ranges: readonly { readonly start: number; readonly size: number }[];
  /** Returns 0 or a negated errno. Hot: no allocation. */
  map(address: number, iova: number, size: number, flags: number): number;
  /** Unmaps exactly one mapping; returns false when the kernel did not unmap it. Hot: no allocation. */
  unmap(iova: number, size: number): boolean;
  /** How to have more addresses, for errors. */
  readonly more: string;
  /** The error for a refused mapping: what it needed, what the limit is, and what to do. */
  explain(refused: RefusedMapping): DmaError;
  /** Undoes the steps that opening took. */
  close(): void;
}

/** All I/O virtual addresses of an IOMMU of type 1. Such a container requires no step before mapping. */
export class Type1Window implements IovaWindow {
  readonly pageSize: number;
  readonly ranges: IovaWindow['ranges'];
  readonly more = 'reserve less (platform.reserved on the simulated machine)';
  readonly #container: Type1Container;

  /** Throws {@link DmaError} `ERR_DMA_RANGE` where no address can be mapped. */
  constructor(container: Type1Container) {
    const info = container.info();
    this.pageSize = info.pageSize;
    this.ranges = usableRanges(info).map(({ start, end }) => ({ start, size: end + 1 - start }));
    this.#container = container;
  }

  map(address: number, iova: number, size: number, flags: number): number {
    return this.#container.mapDma(address, iova, size, flags);
  }

  unmap(iova: number, size: number): boolean {
    return this.#container.unmapDma(iova, size) === size;
  }

  explain(refused: RefusedMapping): DmaError {
    return explainRefusal(refused, this.#container.info());
  }

  close(): void {}
}

/**
 * The error for a refused mapping, with what to do about it where that is known. `container` is what the container's
 * `info()` has: what is locked in bytes, `available` in mappings.
 */
export function explainRefusal(
  refused: RefusedMapping,
  container: LockedMemory & { readonly available?: number },
): DmaError {
  const { available } = container;
  const { errno, address, iova, size, pinnedBytes, lock = { own: pinnedBytes, wanted: size } } = refused;
  const where = iova === undefined ? 'an I/O virtual address' : `I/O virtual address 0x${iova.toString(16)}`;
  const what = `cannot map ${size} bytes at 0x${address.toString(16)} to ${where}: ${errnoName(errno)}`;
  if (errno === ENOMEM) {
    const { state, hint } = memoryLockNeeds(container, lock);
    return new DmaError('ERR_DMA_EXHAUSTED', `${what}; ${state}`, { hint });
  }
  if (errno === ENOSPC && available !== undefined) {
    return new DmaError('ERR_DMA_EXHAUSTED', `${what}; the container takes ${available} more mappings`, {
      hint:
        'raise dma_entry_limit of vfio_iommu_type1 (platform.entryLimit on the simulated machine), or map fewer, ' +
        'larger buffers',
    });
  }
  if (errno === ENOSPC) {
    return new DmaError('ERR_DMA_EXHAUSTED', `${what}; no range of addresses is free for it`, {
      hint: 'map less at a time, or reserve less (platform.reserved, platform.iovaStart)',
    });
  }
  return new DmaError('ERR_DMA_RANGE', what, { hint: REFUSALS.get(errno) ?? 'something else uses this container' });
}

/** What an errno of a mapping says, of one whose addresses are whole pages inside of the ranges. */
const REFUSALS: ReadonlyMap<number, string> = new Map([
  [EFAULT, 'the memory lies outside the process'],
  [EEXIST, 'something else uses these I/O virtual addresses'],
  [
    EINVAL,
    'a page of the IOMMU may be larger than one of the kernel, whose pages need not lie side by side: use a kernel ' +
      'with larger pages (platform.hostPageSize, at least platform.pageSize, on the simulated machine)',
  ],
]);
