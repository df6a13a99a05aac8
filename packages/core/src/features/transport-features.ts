import { RESERVED_FEATURES } from './feature-bit.ts';
import type { BusKind, TransportKind } from './feature-rows.ts';
import { FeatureSet } from './feature-set.ts';

/** The interface a driver uses: the one of specification 1.0 and later, or the one before it. Section 2.2.3. */
export type DeviceInterface = 'modern' | 'legacy';

/** The feature bits that a transport can carry. The legacy interface has 32 (specification 1.4 section 4.1.4.10). */
export function transportCarries(transport: TransportKind): FeatureSet {
  if (transport === 'legacy') return new FeatureSet(0xffff_ffffn);
  const absent = RESERVED_FEATURES.rows.filter(({ absentOn }) => absentOn?.[transport] !== undefined);
  return new FeatureSet((1n << 128n) - 1n).minus(FeatureSet.of(...absent.map(({ bit }) => bit)));
}

/**
 * Whether an access of a device on this transport has a requester id, by which an IOMMU tells whose access it is. PCI
 * alone has it (PCI Express base specification 6.0 section 2.2.6.2); a device on MMIO or channel I/O has no such name.
 */
export function hasRequesterId(bus: BusKind): boolean {
  return bus === 'pci';
}

/**
 * Why a device on this transport cannot have both interfaces; `undefined` where it can. On MMIO a register, Version,
 * states the one that the device has (specification 1.4 section 4.2.2).
 */
export function transitionalProblem(bus: BusKind): string | undefined {
  return bus === 'mmio' ? 'a device on mmio is not transitional: its Version is 1 or 2' : undefined;
}

/** What to do about a {@link transitionalProblem}. */
export const ONE_INTERFACE_HINT = 'set device.interface and driver.interface to modern, or both to legacy';

/** What gives a feature bit its meaning. */
export type FeatureRange = 'device type' | 'queue and negotiation' | 'future extensions';

/**
 * Finds the range of a feature bit, by specification 1.4 section 2.2. That section lists bit 41 in two ranges; section
 * 6 describes it, as ADMIN_VQ.
 */
export function featureRange(bit: number): FeatureRange {
  if ((bit >= 24 && bit <= 41) || bit === 43) return 'queue and negotiation';
  return (bit >= 44 && bit <= 49) || bit >= 128 ? 'future extensions' : 'device type';
}
