import { FeatureSet } from '@virtio-platform/core/features';
import * as feature from '../net-features.ts';

/** What the side that gets packets agreed to do with them. */
export interface OffloadSet {
  readonly checksum: boolean;
  readonly tso4: boolean;
  readonly tso6: boolean;
  readonly ecn: boolean;
  readonly uso4: boolean;
  readonly uso6: boolean;
}

/** The offloads of the device half. */
export const HOST_OFFLOADS: FeatureSet = FeatureSet.of(
  feature.VIRTIO_NET_F_CSUM,
  feature.VIRTIO_NET_F_HOST_TSO4,
  feature.VIRTIO_NET_F_HOST_TSO6,
  feature.VIRTIO_NET_F_HOST_ECN,
  feature.VIRTIO_NET_F_HOST_USO,
);

/** The offloads of the driver half. */
export const GUEST_OFFLOADS: FeatureSet = FeatureSet.of(
  feature.VIRTIO_NET_F_GUEST_CSUM,
  feature.VIRTIO_NET_F_GUEST_TSO4,
  feature.VIRTIO_NET_F_GUEST_TSO6,
  feature.VIRTIO_NET_F_GUEST_ECN,
  feature.VIRTIO_NET_F_GUEST_USO4,
  feature.VIRTIO_NET_F_GUEST_USO6,
);

/** What the device does with packets of the driver. */
export function hostOffloads(accepted: FeatureSet): OffloadSet {
  const uso = accepted.has(feature.VIRTIO_NET_F_HOST_USO);
  return {
    checksum: accepted.has(feature.VIRTIO_NET_F_CSUM),
    tso4: accepted.has(feature.VIRTIO_NET_F_HOST_TSO4),
    tso6: accepted.has(feature.VIRTIO_NET_F_HOST_TSO6),
    ecn: accepted.has(feature.VIRTIO_NET_F_HOST_ECN),
    uso4: uso,
    uso6: uso,
  };
}

/** What the driver does with packets of the device: of features, or of the command GUEST_OFFLOADS_SET. */
export function guestOffloads(features: FeatureSet): OffloadSet {
  return {
    checksum: features.has(feature.VIRTIO_NET_F_GUEST_CSUM),
    tso4: features.has(feature.VIRTIO_NET_F_GUEST_TSO4),
    tso6: features.has(feature.VIRTIO_NET_F_GUEST_TSO6),
    ecn: features.has(feature.VIRTIO_NET_F_GUEST_ECN),
    uso4: features.has(feature.VIRTIO_NET_F_GUEST_USO4),
    uso6: features.has(feature.VIRTIO_NET_F_GUEST_USO6),
  };
}

/** Whether any packet may be longer than those of the wire. */
export function takesLongPackets({ tso4, tso6, uso4, uso6 }: OffloadSet): boolean {
  return tso4 || tso6 || uso4 || uso6;
}
