import { DeviceStatus, resetDevice, type Transport } from '@virtio-platform/core/device';
import { FeatureSet, VIRTIO_F_RING_PACKED, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import type { QueueLayout } from '@virtio-platform/core/queue';

/** VERSION_1, RING_PACKED for a packed ring, and `others`. */
export function ringFeatures(layout: QueueLayout, ...others: number[]): FeatureSet {
  return FeatureSet.of(VIRTIO_F_VERSION_1, ...others, ...(layout === 'packed' ? [VIRTIO_F_RING_PACKED] : []));
}

/**
 * Resets the device and accepts these features, whatever it offers: up to FEATURES_OK, where queues can be enabled.
 * Throws an Error where the device refuses FEATURES_OK.
 */
export function acceptFeatures(transport: Transport, accepted: FeatureSet): void {
  resetDevice(transport);
  transport.writeStatus(DeviceStatus.Acknowledge | DeviceStatus.Driver);
  transport.writeDriverFeatures(accepted);
  transport.writeStatus(transport.readStatus() | DeviceStatus.FeaturesOk);
  if ((transport.readStatus() & DeviceStatus.FeaturesOk) === 0) throw new Error('FEATURES_OK was refused');
}
