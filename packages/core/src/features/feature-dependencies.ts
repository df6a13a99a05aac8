import {
  EXPERIMENTAL_IDENTITY_ADDRESS,
  EXPERIMENTAL_NO_TRANSLATION,
  VIRTIO_BLK_F_CONFIG_WCE,
  VIRTIO_BLK_F_FLUSH,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_IN_ORDER,
  VIRTIO_F_NOTIFICATION_DATA,
  VIRTIO_F_NOTIF_CONFIG_DATA,
  VIRTIO_F_ORDER_PLATFORM,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_ADMIN_VQ,
  VIRTIO_F_RING_RESET,
  VIRTIO_F_SR_IOV,
  VIRTIO_F_SUSPEND,
  VIRTIO_F_VERSION_1,
} from './feature-bit.ts';
import type { FeatureSet } from './feature-set.ts';

/** One feature that may be accepted only together with another. Specification 1.4 section 2.2.1. */
export interface FeatureDependency {
  readonly feature: number;
  readonly requires: number;
  readonly source: string;
}

const ABOVE_31 = 'virtio 1.4 §4.1.4.10: bits above 31 exist only on the modern interface';

const RESERVED: readonly FeatureDependency[] = [
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_IN_ORDER,
  VIRTIO_F_ORDER_PLATFORM,
  VIRTIO_F_NOTIFICATION_DATA,
  VIRTIO_F_NOTIF_CONFIG_DATA,
  VIRTIO_F_RING_RESET,
  VIRTIO_F_SR_IOV,
  VIRTIO_F_ADMIN_VQ,
  VIRTIO_F_SUSPEND,
  EXPERIMENTAL_NO_TRANSLATION,
  EXPERIMENTAL_IDENTITY_ADDRESS,
].map((feature) => ({ feature, requires: VIRTIO_F_VERSION_1, source: ABOVE_31 }));

const DEVICE: Readonly<Record<string, readonly FeatureDependency[]>> = {
  block: [{ feature: VIRTIO_BLK_F_CONFIG_WCE, requires: VIRTIO_BLK_F_FLUSH, source: 'virtio 1.4 §5.2.5.2' }],
};

/** The dependencies of the reserved bits and of one device type. */
export function featureDependencies(deviceType: string): readonly FeatureDependency[] {
  return [...RESERVED, ...(DEVICE[deviceType] ?? [])];
}

/** The first dependency that `features` does not meet, or `undefined` when the set is closed. */
export function unmetDependency(features: FeatureSet, deviceType: string): FeatureDependency | undefined {
  return featureDependencies(deviceType).find(
    ({ feature, requires }) => features.has(feature) && !features.has(requires),
  );
}
