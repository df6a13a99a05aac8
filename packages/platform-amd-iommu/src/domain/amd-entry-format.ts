import { PAGE_READ, PAGE_WRITE, type EntryFlags, type EntryFormat } from '@virtio-platform/core/dma';
import { MAY_READ, MAY_WRITE, NEXT_LEVEL_MASK, NEXT_LEVEL_SHIFT, PRESENT } from '../unit/table-format.ts';

const BY_PERMISSION: readonly EntryFlags[] = [0, PAGE_READ, PAGE_WRITE, PAGE_READ | PAGE_WRITE].map((permission) => ({
  low: permission === 0 ? 0 : PRESENT,
  high: highOf(permission),
}));

function highOf(permission: number): number {
  return ((permission & PAGE_READ) === 0 ? 0 : MAY_READ) | ((permission & PAGE_WRITE) === 0 ? 0 : MAY_WRITE);
}

/**
 * The entries of page tables of an AMD IOMMU (specification 48882, section 2.2.3). An entry that is not present still
 * has a level, which the specification has units ignore: QEMU takes an entry of 0 for none at all, and shows nothing of
 * an access there, whereas at one with a level it shows in the PCI status of its unit that it refused the access.
 */
export const AMD_ENTRY_FORMAT: EntryFormat = {
  page: BY_PERMISSION,
  large: BY_PERMISSION,
  absent: 1 << NEXT_LEVEL_SHIFT,
  table: (level) => ({ low: PRESENT | (level << NEXT_LEVEL_SHIFT), high: MAY_READ | MAY_WRITE }),
  permissionsOf: (low, high) =>
    (low & PRESENT) === 0 ? 0 : ((high & MAY_READ) === 0 ? 0 : PAGE_READ) | ((high & MAY_WRITE) === 0 ? 0 : PAGE_WRITE),
  isLarge: (low) => ((low >>> NEXT_LEVEL_SHIFT) & NEXT_LEVEL_MASK) === 0,
  levelName: (level) => `${level}`,
};
