import { initializeDevice, type Transport } from '@virtio-platform/core/device';
import {
  FeatureSet,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_VERSION_1,
  VIRTIO_RING_F_EVENT_IDX,
} from '@virtio-platform/core/features';
import type { PlatformTraits } from '@virtio-platform/core/negotiation';
import type { VirtioIommuOptions } from '../virtio-iommu-options.ts';
import {
  IOMMU_FEATURES,
  VIRTIO_IOMMU_F_BYPASS,
  VIRTIO_IOMMU_F_BYPASS_CONFIG,
  VIRTIO_IOMMU_F_DOMAIN_RANGE,
  VIRTIO_IOMMU_F_INPUT_RANGE,
  VIRTIO_IOMMU_F_MAP_UNMAP,
  VIRTIO_IOMMU_F_PROBE,
} from './iommu-features.ts';
import { IOMMU_DEVICE_ID } from './request-format.ts';
import { unsupported } from './virtio-iommu-facility.ts';

/** The unit is not behind itself (specification 1.4 section 5.13; row J7 of the decision table). */
const PLAIN: PlatformTraits = {
  restrictedMemory: false,
  isolates: false,
  mappedPath: 'identity',
  identityVerified: true,
  addressMeaning: 'the unit itself has physical addresses',
  reachesAllMemory: true,
};

const PACKED_HINT = 'use platform.layout: split, or a unit with packed rings: on QEMU machine.virtioIommu.packed: true';

/** How the driver negotiates with the unit. */
export type UnitTerms = Pick<VirtioIommuOptions, 'layout' | 'lacks' | 'bypass' | 'domain'>;

/**
 * Negotiates with the unit by the rules of every device, up to FEATURES_OK. Throws {@link DmaError}
 * `ERR_IOMMU_UNSUPPORTED` for a device that is no virtio-iommu, refuses, maps nothing, or lacks the
 * layout of the rings.
 */
export function negotiateWithUnit(transport: Transport, terms: UnitTerms): FeatureSet {
  if (transport.deviceId !== IOMMU_DEVICE_ID)
    throw unsupported(`the device has the type ${transport.deviceId}, not ${IOMMU_DEVICE_ID}`, 'give the machine one');
  const { accepted, refusal } = initializeDevice(transport, {
    supported: supportedFeatures(terms),
    deviceFeatures: IOMMU_FEATURES,
    traits: PLAIN,
    rules: [],
    privilege: 'kernel',
  });
  if (refusal !== undefined) throw unsupported(`the unit is not used: ${refusal.reason}`, 'use another unit');
  if (!accepted.has(VIRTIO_IOMMU_F_MAP_UNMAP))
    throw unsupported('the unit does not offer MAP_UNMAP', 'use a unit that does');
  if (terms.layout === 'packed' && !accepted.has(VIRTIO_F_RING_PACKED))
    throw unsupported('the unit does not offer RING_PACKED', PACKED_HINT);
  return accepted;
}

/** BYPASS is accepted only where endpoints without a domain are to be let through: accepting it is what does so. */
function supportedFeatures({ layout, lacks, bypass, domain }: UnitTerms): FeatureSet {
  let supported = FeatureSet.of(
    VIRTIO_F_VERSION_1,
    VIRTIO_RING_F_EVENT_IDX,
    VIRTIO_IOMMU_F_INPUT_RANGE,
    VIRTIO_IOMMU_F_DOMAIN_RANGE,
    VIRTIO_IOMMU_F_MAP_UNMAP,
    VIRTIO_IOMMU_F_PROBE,
    VIRTIO_IOMMU_F_BYPASS_CONFIG,
  );
  if (layout === 'packed') supported = supported.with(VIRTIO_F_RING_PACKED);
  if (bypass === 'on' || domain === 'bypass') supported = supported.with(VIRTIO_IOMMU_F_BYPASS);
  const unknown = IOMMU_FEATURES.rows.filter(({ name }) => lacks.some((lacked) => lacked === name));
  return unknown.reduce((set, { bit }) => set.without(bit), supported);
}
