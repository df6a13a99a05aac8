import { FeatureRows } from '@virtio-platform/core/features';

/** The feature bits of a virtio-iommu (specification 1.4 section 5.13.3). */
export const IOMMU_FEATURES: FeatureRows = new FeatureRows('virtio 1.4 §5.13.3');

/** The unit states the range of I/O virtual addresses that it translates. */
export const VIRTIO_IOMMU_F_INPUT_RANGE: number = IOMMU_FEATURES.bit(0, 'IOMMU_INPUT_RANGE');
/** The unit states the range of domain numbers. */
export const VIRTIO_IOMMU_F_DOMAIN_RANGE: number = IOMMU_FEATURES.bit(1, 'IOMMU_DOMAIN_RANGE');
/** Mappings are made by MAP and removed by UNMAP. */
export const VIRTIO_IOMMU_F_MAP_UNMAP: number = IOMMU_FEATURES.bit(2, 'IOMMU_MAP_UNMAP');
/** Where the driver accepts it, an endpoint without a domain is let through. Replaced by BYPASS_CONFIG. */
export const VIRTIO_IOMMU_F_BYPASS: number = IOMMU_FEATURES.bit(3, 'IOMMU_BYPASS');
/** PROBE tells properties of an endpoint. */
export const VIRTIO_IOMMU_F_PROBE: number = IOMMU_FEATURES.bit(4, 'IOMMU_PROBE');
/** MAP has the flag MMIO. */
export const VIRTIO_IOMMU_F_MMIO: number = IOMMU_FEATURES.bit(5, 'IOMMU_MMIO', {
  undriven: 'no device here maps the registers of another one',
});
/** A field of the configuration says whether endpoints without a domain are let through; ATTACH has a bypass flag. */
export const VIRTIO_IOMMU_F_BYPASS_CONFIG: number = IOMMU_FEATURES.bit(6, 'IOMMU_BYPASS_CONFIG');
