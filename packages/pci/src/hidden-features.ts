import type { DeviceDescription } from '@virtio-platform/core';
import { FeatureSet, transportCarries, type TransportKind } from '@virtio-platform/core/features';

/** What the driver of a device is not shown although the device may have it: whatever its profile does not list, if that lists anything. */
export function hiddenFeatures({ offers }: DeviceDescription, transport: TransportKind): FeatureSet {
  return offers === undefined ? FeatureSet.EMPTY : transportCarries(transport).minus(offers);
}
