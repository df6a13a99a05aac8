import * as bits from './feature-bit.ts';
import type { FeatureSet } from './feature-set.ts';

/** One feature that may be accepted only together with another. Specification 1.4 section 2.2.1. */
export interface FeatureDependency {
  readonly feature: number;
  readonly requires: number;
  /** Does as well as `requires`. */
  readonly alternative?: number;
  readonly source: string;
}

const ABOVE_31 = 'virtio 1.4 §4.1.4.10: bits above 31 exist only on the modern interface';

const RESERVED: readonly FeatureDependency[] = [
  bits.VIRTIO_F_ACCESS_PLATFORM,
  bits.VIRTIO_F_RING_PACKED,
  bits.VIRTIO_F_IN_ORDER,
  bits.VIRTIO_F_ORDER_PLATFORM,
  bits.VIRTIO_F_NOTIFICATION_DATA,
  bits.VIRTIO_F_NOTIF_CONFIG_DATA,
  bits.VIRTIO_F_RING_RESET,
  bits.VIRTIO_F_SR_IOV,
  bits.VIRTIO_F_ADMIN_VQ,
  bits.VIRTIO_F_SUSPEND,
  bits.EXPERIMENTAL_NO_TRANSLATION,
  bits.EXPERIMENTAL_IDENTITY_ADDRESS,
].map((feature) => ({ feature, requires: bits.VIRTIO_F_VERSION_1, source: ABOVE_31 }));

const DEVICE: Readonly<Record<string, readonly FeatureDependency[]>> = {
  block: [{ feature: bits.VIRTIO_BLK_F_CONFIG_WCE, requires: bits.VIRTIO_BLK_F_FLUSH, source: 'virtio 1.4 §5.2.5.2' }],
  net: [
    ...each([bits.VIRTIO_NET_F_GUEST_TSO4, bits.VIRTIO_NET_F_GUEST_TSO6], bits.VIRTIO_NET_F_GUEST_CSUM),
    ...each([bits.VIRTIO_NET_F_GUEST_UFO], bits.VIRTIO_NET_F_GUEST_CSUM),
    ...each([bits.VIRTIO_NET_F_GUEST_USO4, bits.VIRTIO_NET_F_GUEST_USO6], bits.VIRTIO_NET_F_GUEST_CSUM),
    ...each([bits.VIRTIO_NET_F_GUEST_ECN], bits.VIRTIO_NET_F_GUEST_TSO4, bits.VIRTIO_NET_F_GUEST_TSO6),
    ...each([bits.VIRTIO_NET_F_HOST_TSO4, bits.VIRTIO_NET_F_HOST_TSO6], bits.VIRTIO_NET_F_CSUM),
    ...each([bits.VIRTIO_NET_F_HOST_UFO, bits.VIRTIO_NET_F_HOST_USO], bits.VIRTIO_NET_F_CSUM),
    ...each([bits.VIRTIO_NET_F_HOST_ECN], bits.VIRTIO_NET_F_HOST_TSO4, bits.VIRTIO_NET_F_HOST_TSO6),
    ...each([bits.VIRTIO_NET_F_CTRL_RX, bits.VIRTIO_NET_F_CTRL_VLAN], bits.VIRTIO_NET_F_CTRL_VQ),
    ...each([bits.VIRTIO_NET_F_GUEST_ANNOUNCE, bits.VIRTIO_NET_F_MQ], bits.VIRTIO_NET_F_CTRL_VQ),
    ...each([bits.VIRTIO_NET_F_CTRL_MAC_ADDR, bits.VIRTIO_NET_F_NOTF_COAL], bits.VIRTIO_NET_F_CTRL_VQ),
    ...each([bits.VIRTIO_NET_F_RSS, bits.VIRTIO_NET_F_VQ_NOTF_COAL], bits.VIRTIO_NET_F_CTRL_VQ),
    ...each([bits.VIRTIO_NET_F_RSC_EXT], bits.VIRTIO_NET_F_HOST_TSO4, bits.VIRTIO_NET_F_HOST_TSO6),
    ...each([bits.VIRTIO_NET_F_HASH_TUNNEL], bits.VIRTIO_NET_F_CTRL_VQ),
    ...each([bits.VIRTIO_NET_F_HASH_TUNNEL], bits.VIRTIO_NET_F_RSS, bits.VIRTIO_NET_F_HASH_REPORT),
  ],
};

/** The same requirement of several features of a network device. */
function each(features: readonly number[], requires: number, alternative?: number): FeatureDependency[] {
  const needs = alternative === undefined ? { requires } : { requires, alternative };
  return features.map((feature) => ({ feature, ...needs, source: 'virtio 1.4 §5.1.3.1' }));
}

/** The dependencies of the reserved bits and of one device type. */
export function featureDependencies(deviceType: string): readonly FeatureDependency[] {
  return [...RESERVED, ...(DEVICE[deviceType] ?? [])];
}

/** The first dependency that `features` does not meet, or `undefined` when the set is closed. */
export function unmetDependency(features: FeatureSet, deviceType: string): FeatureDependency | undefined {
  return featureDependencies(deviceType).find((dependency) => !meetsDependency(features, dependency));
}

/** Whether `features` lacks the feature, or has what it requires. */
export function meetsDependency(features: FeatureSet, dependency: FeatureDependency): boolean {
  const { feature, requires, alternative } = dependency;
  return !features.has(feature) || features.has(requires) || (alternative !== undefined && features.has(alternative));
}
