import { EXPERIMENTAL_BITS, type ExperimentalBits } from './experimental-bits.ts';
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
  bits.VIRTIO_F_SR_IOV,
  bits.VIRTIO_F_NOTIFICATION_DATA,
  bits.VIRTIO_F_NOTIF_CONFIG_DATA,
  bits.VIRTIO_F_RING_RESET,
  bits.VIRTIO_F_ADMIN_VQ,
  bits.VIRTIO_F_SUSPEND,
].map((feature) => ({ feature, requires: bits.VIRTIO_F_VERSION_1, source: ABOVE_31 }));

/** Console and entropy devices have features, or none, and no dependencies among them (sections 5.3.3 and 5.4.3). */
const DEVICE: Readonly<Record<string, readonly FeatureDependency[]>> = {
  block: dependencies('virtio 1.4 §5.2.5.1 and §5.2.5.2', [
    [[bits.VIRTIO_BLK_F_CONFIG_WCE], [bits.VIRTIO_BLK_F_FLUSH]],
  ]),
  net: dependencies('virtio 1.4 §5.1.3.1', [
    [[bits.VIRTIO_NET_F_GUEST_TSO4, bits.VIRTIO_NET_F_GUEST_TSO6], [bits.VIRTIO_NET_F_GUEST_CSUM]],
    [[bits.VIRTIO_NET_F_GUEST_UFO], [bits.VIRTIO_NET_F_GUEST_CSUM]],
    [[bits.VIRTIO_NET_F_GUEST_USO4, bits.VIRTIO_NET_F_GUEST_USO6], [bits.VIRTIO_NET_F_GUEST_CSUM]],
    [[bits.VIRTIO_NET_F_GUEST_ECN], [bits.VIRTIO_NET_F_GUEST_TSO4, bits.VIRTIO_NET_F_GUEST_TSO6]],
    [[bits.VIRTIO_NET_F_HOST_TSO4, bits.VIRTIO_NET_F_HOST_TSO6], [bits.VIRTIO_NET_F_CSUM]],
    [[bits.VIRTIO_NET_F_HOST_UFO, bits.VIRTIO_NET_F_HOST_USO], [bits.VIRTIO_NET_F_CSUM]],
    [[bits.VIRTIO_NET_F_HOST_ECN], [bits.VIRTIO_NET_F_HOST_TSO4, bits.VIRTIO_NET_F_HOST_TSO6]],
    [[bits.VIRTIO_NET_F_CTRL_RX, bits.VIRTIO_NET_F_CTRL_VLAN], [bits.VIRTIO_NET_F_CTRL_VQ]],
    [[bits.VIRTIO_NET_F_GUEST_ANNOUNCE, bits.VIRTIO_NET_F_MQ], [bits.VIRTIO_NET_F_CTRL_VQ]],
    [[bits.VIRTIO_NET_F_CTRL_MAC_ADDR, bits.VIRTIO_NET_F_NOTF_COAL], [bits.VIRTIO_NET_F_CTRL_VQ]],
    [[bits.VIRTIO_NET_F_RSS, bits.VIRTIO_NET_F_VQ_NOTF_COAL], [bits.VIRTIO_NET_F_CTRL_VQ]],
    [[bits.VIRTIO_NET_F_RSC_EXT], [bits.VIRTIO_NET_F_HOST_TSO4, bits.VIRTIO_NET_F_HOST_TSO6]],
    [[bits.VIRTIO_NET_F_HASH_TUNNEL], [bits.VIRTIO_NET_F_CTRL_VQ]],
    [[bits.VIRTIO_NET_F_HASH_TUNNEL], [bits.VIRTIO_NET_F_RSS, bits.VIRTIO_NET_F_HASH_REPORT]],
    [[bits.VIRTIO_NET_F_RSS_CONTEXT], [bits.VIRTIO_NET_F_CTRL_VQ]],
    [[bits.VIRTIO_NET_F_RSS_CONTEXT], [bits.VIRTIO_NET_F_RSS]],
    [[bits.VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO], [bits.VIRTIO_NET_F_GUEST_TSO4]],
    [[bits.VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO], [bits.VIRTIO_NET_F_GUEST_TSO6]],
    [[bits.VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO], [bits.VIRTIO_NET_F_GUEST_USO4]],
    [[bits.VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO], [bits.VIRTIO_NET_F_GUEST_USO6]],
    [[bits.VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO], [bits.VIRTIO_NET_F_HOST_TSO4]],
    [[bits.VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO], [bits.VIRTIO_NET_F_HOST_TSO6]],
    [[bits.VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO], [bits.VIRTIO_NET_F_HOST_USO]],
    [[bits.VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO_CSUM], [bits.VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO]],
    [[bits.VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO_CSUM], [bits.VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO]],
  ]),
};

/** Each of the features requires the first, or the first or second, of what follows them. */
function dependencies(
  source: string,
  table: readonly (readonly [features: readonly number[], needs: readonly [number, number?]])[],
): FeatureDependency[] {
  return table.flatMap(([features, [requires, alternative]]) =>
    features.map((feature) => ({
      feature,
      requires,
      ...(alternative === undefined ? {} : { alternative }),
      source,
    })),
  );
}

/** The experimental features are above bit 31 as well, and identity-address is a promise about the platform's addresses. */
function experimentalDependencies({ noTranslation, identityAddress }: ExperimentalBits): FeatureDependency[] {
  const requires = bits.VIRTIO_F_VERSION_1;
  return [
    { feature: noTranslation, requires, source: ABOVE_31 },
    { feature: identityAddress, requires, source: ABOVE_31 },
    {
      feature: identityAddress,
      requires: bits.VIRTIO_F_ACCESS_PLATFORM,
      source: 'mail: Tsirkin, 2019-07-01 (always negotiated together with ACCESS_PLATFORM)',
    },
  ];
}

/** The dependencies of the reserved bits, of the experimental ones and of one device type. */
export function featureDependencies(
  deviceType: string,
  experimental: ExperimentalBits = EXPERIMENTAL_BITS,
): readonly FeatureDependency[] {
  return [...RESERVED, ...experimentalDependencies(experimental), ...(DEVICE[deviceType] ?? [])];
}

/** The first dependency that `features` does not meet, or `undefined` when the set is closed. */
export function unmetDependency(
  features: FeatureSet,
  deviceType: string,
  experimental: ExperimentalBits = EXPERIMENTAL_BITS,
): FeatureDependency | undefined {
  return featureDependencies(deviceType, experimental).find((dependency) => !meetsDependency(features, dependency));
}

/** Whether `features` lacks the feature, or has what it requires. */
export function meetsDependency(features: FeatureSet, dependency: FeatureDependency): boolean {
  const { feature, requires, alternative } = dependency;
  return !features.has(feature) || features.has(requires) || (alternative !== undefined && features.has(alternative));
}
