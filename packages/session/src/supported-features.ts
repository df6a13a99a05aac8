import {
  featureName,
  FeatureSet,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_ANY_LAYOUT,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_SUSPEND,
  VIRTIO_F_VERSION_1,
} from '@virtio-platform/core/features';
import type { DeclinedFeature } from '@virtio-platform/core/negotiation';
import { RING_FEATURES } from '@virtio-platform/core/queue';
import type { SessionOptions } from './session-options.ts';

/** What the ring and the path implement on the driver's side, besides the features of the driver half. */
const DRIVER_FEATURES = new FeatureSet(
  RING_FEATURES.bits |
    FeatureSet.of(VIRTIO_F_ANY_LAYOUT, VIRTIO_F_VERSION_1, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_SUSPEND).bits,
);

/** Who supports what: the sections of {@link SessionOptions} that decide it. */
export type DriverTerms = Pick<SessionOptions, 'device' | 'policy'> & {
  readonly queue: Pick<SessionOptions['queue'], 'layout'>;
  readonly driver: Pick<SessionOptions['driver'], 'lacks'>;
};

/**
 * The features that a driver supports. What it supports chooses the layout: a device that offers packed rings to a
 * split driver is declined them.
 */
export function supportedFeatures({ device, queue, policy, driver }: DriverTerms): FeatureSet {
  const { experimental, bits } = policy;
  let supported = new FeatureSet(DRIVER_FEATURES.bits | device.type.driver.features.bits);
  if (queue.layout !== 'packed') supported = supported.without(VIRTIO_F_RING_PACKED);
  if (experimental) supported = supported.with(bits.noTranslation).with(bits.identityAddress);
  return supported.minus(driver.lacks);
}

/** Why a driver does not support features that it could: the sections of {@link SessionOptions} that say so. */
export function unsupportedFeatures({ device, queue, policy, driver }: DriverTerms): DeclinedFeature[] {
  const lacks = [...driver.lacks].map((feature) => {
    const name = featureName(feature, device.type.features, policy.bits);
    return { feature, reason: 'driver.lacks has it', option: `driver.lacks: [${name}]` };
  });
  if (queue.layout === 'packed') return lacks;
  const option = `queue.layout: ${queue.layout}`;
  return [...lacks, { feature: VIRTIO_F_RING_PACKED, reason: `queue.layout is ${queue.layout}`, option }];
}
