import { DmaError } from '@virtio-platform/core';
import type { IovaRange } from '../container/vfio-container.ts';

/**
 * The ranges that a container can map. Throws {@link DmaError} `ERR_DMA_RANGE` where it has none: every address is
 * reserved.
 */
export function usableRanges(info: {
  readonly iovaRanges: readonly IovaRange[];
  readonly reservedRanges?: readonly IovaRange[] | undefined;
}): readonly IovaRange[] {
  const { iovaRanges, reservedRanges } = info;
  if (iovaRanges.length > 0) return iovaRanges;
  const reserved = reservedRanges === undefined ? '' : `: ${formatRanges(reservedRanges)}`;
  throw new DmaError('ERR_DMA_RANGE', `the container has no I/O virtual address to map: all are reserved${reserved}`, {
    hint:
      'see /sys/kernel/iommu_groups/*/reserved_regions for the ranges that a real IOMMU keeps; reserve less ' +
      '(platform.reserved on the simulated machine)',
  });
}

/** Writes ranges with their last addresses: `0x0..0xfedfffff, 0xfef00000..0x7fffffffff`. */
export function formatRanges(ranges: readonly IovaRange[]): string {
  return ranges.map(({ start, end }) => `0x${start.toString(16)}..0x${end.toString(16)}`).join(', ');
}
