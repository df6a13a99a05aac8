/**
 * Guests behind a virtio-iommu: mappings by requests on a virtqueue, faults by events; translated, bypass and identity
 * domains.
 *
 * @packageDocumentation
 */
import {
  definePlatformPlugin,
  deviceAddressing,
  GUEST_MEMORY,
  PLATFORM,
  PLUGIN_API_VERSION,
  type PlatformPlugin,
} from '@virtio-platform/core';
import { keptBitsProblem, physicalProblem } from '@virtio-platform/core/dma';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
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
  simulatedOptions: ['unit'],
  needs: [VIRTIO_IOMMU_FACILITY],
  needsRequesterId: () => 'attaches a device to a domain by the endpoint that is its requester id',
  addressingProblem(addressing, memory, { domain }) {
    if (domain === 'translated') return keptBitsProblem(addressing, PAGE_SIZE);
    return physicalProblem(addressing, memory, `platform.domain: ${domain}`, 'use platform.domain: translated');
  },
  register(container, options) {
    container.register(PLATFORM, {
      useFactory: (bound) =>
        new VirtioIommuPlatform(
          options,
          bound.resolve(GUEST_MEMORY),
          bound.resolve<VirtioIommuFacility>(VIRTIO_IOMMU_FACILITY),
          deviceAddressing(bound),
        ),
    });
  },
  simulate: simulateVirtioIommu,
});

export default plugin;
