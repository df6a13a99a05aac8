import * as bits from './feature-bit.ts';
import { FeatureSet } from './feature-set.ts';

/** How a driver reaches the registers of a device, as far as features depend on it. */
export const TRANSPORT_KINDS = ['pci', 'mmio', 'channel-io', 'legacy'] as const;
export type TransportKind = (typeof TRANSPORT_KINDS)[number];

/** A feature that does not exist on a transport. */
export interface TransportLimit {
  readonly transport: TransportKind;
  readonly feature: number;
  readonly source: string;
}

/** Specification 1.4 sections 4.2.5, 4.3.4 and 6; SR_IOV needs a capability of PCI. */
export const TRANSPORT_LIMITS: readonly TransportLimit[] = [
  { transport: 'mmio', feature: bits.VIRTIO_F_ADMIN_VQ, source: 'virtio 1.4 §4.2.5' },
  { transport: 'mmio', feature: bits.VIRTIO_F_SR_IOV, source: 'virtio 1.4 §6.1' },
  { transport: 'channel-io', feature: bits.VIRTIO_F_ADMIN_VQ, source: 'virtio 1.4 §4.3.4' },
  { transport: 'channel-io', feature: bits.VIRTIO_F_RING_RESET, source: 'virtio 1.4 §4.3.4' },
  { transport: 'channel-io', feature: bits.VIRTIO_F_SR_IOV, source: 'virtio 1.4 §6.1' },
];

/** The feature bits that a transport can carry; the legacy interface has 32 (section 4.1.4.10). */
export function transportCarries(transport: TransportKind): FeatureSet {
  if (transport === 'legacy') return new FeatureSet(0xffff_ffffn);
  const all = new FeatureSet((1n << 128n) - 1n);
  return TRANSPORT_LIMITS.filter((limit) => limit.transport === transport).reduce(
    (carries, { feature }) => carries.without(feature),
    all,
  );
}
