import { PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';
import {
  EXTENDED_INTERRUPTS,
  INTERRUPT_ENTRY_WORDS,
  INTERRUPT_REMAPPING_ENABLE,
  IRTA_REG,
  TABLE_SIZE_MASK,
} from '../unit/interrupt-format.ts';
import type { VtdFacility } from '../unit/vtd-facility.ts';
import { GSTS_REG } from '../unit/vtd-registers.ts';
import { addressOf } from './former-tables.ts';

/**
 * Reads the words of the interrupt entries with which a unit remaps now (Linux `iommu_load_old_irte`): at most a page.
 * `undefined` where it does not remap, and where the next owner cannot take the table over: it is larger than the one
 * of this driver, has destinations of 32 bits, or is not in memory.
 */
export function readInterruptEntries(memory: GuestMemory, facility: VtdFacility): Uint32Array | undefined {
  if ((facility.read32(GSTS_REG) & INTERRUPT_REMAPPING_ENABLE) === 0) return undefined;
  const register = new Uint32Array(2);
  facility.read64(IRTA_REG, register);
  const low = register[0]!;
  const bytes = (2 << (low & TABLE_SIZE_MASK)) * INTERRUPT_ENTRY_WORDS * 4;
  const table = addressOf(low, register[1]!);
  const isLike = bytes <= PAGE_SIZE && (low & EXTENDED_INTERRUPTS) === 0;
  if (!isLike || !memory.contains(table, bytes)) return undefined;
  return memory.u32.slice(table / 4, (table + bytes) / 4);
}
