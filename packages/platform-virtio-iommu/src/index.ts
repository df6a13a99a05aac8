/**
 * Guests behind a virtio-iommu: mappings by requests on a virtqueue, faults by events; translated, bypass and identity
 * domains.
 *
 * @packageDocumentation
 */
import {
  definePlatformPlugin,
  GUEST_MEMORY,
  PLATFORM,
  PLUGIN_API_VERSION,
  type PlatformPlugin,
} from '@virtio-platform/core';
import { simulateVirtioIommu } from './simulated/simulate-virtio-iommu.ts';
import { VIRTIO_IOMMU_FACILITY, type VirtioIommuFacility } from './unit/virtio-iommu-facility.ts';
import { virtioIommuOptionsSchema, type VirtioIommuOptions } from './virtio-iommu-options.ts';
import { VirtioIommuPlatform } from './virtio-iommu-platform.ts';

export { SimulatedIommu } from './simulated/simulated-iommu.ts';
export { IOMMU_DEVICE_ID } from './unit/request-format.ts';
export type { ReservedRegion } from './unit/reserved-regions.ts';
export { VIRTIO_IOMMU_FACILITY, type VirtioIommuFacility } from './unit/virtio-iommu-facility.ts';
export type { VirtioIommuFault } from './unit/virtio-iommu-fault.ts';
export {
  virtioIommuOptionsSchema,
  type SimulatedIommuOptions,
  type SimulatedReservedRegion,
  type VirtioIommuFailures,
  type VirtioIommuOptions,
} from './virtio-iommu-options.ts';
export { VirtioIommuPlatform, virtioIommuRules } from './virtio-iommu-platform.ts';

const plugin: PlatformPlugin<VirtioIommuOptions> = definePlatformPlugin({
  kind: 'platform',
  name: 'virtio-iommu',
  apiVersion: PLUGIN_API_VERSION,
  options: virtioIommuOptionsSchema,
  needs: [VIRTIO_IOMMU_FACILITY],
  needsRequesterId: () => 'attaches a device to a domain by the endpoint that is its requester id',
  register(container, options) {
    container.register(PLATFORM, {
      useFactory: (bound) =>
        new VirtioIommuPlatform(
          options,
          bound.resolve(GUEST_MEMORY),
          bound.resolve<VirtioIommuFacility>(VIRTIO_IOMMU_FACILITY),
        ),
    });
  },
  simulate: simulateVirtioIommu,
});

export default plugin;
