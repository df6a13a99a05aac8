/**
 * x86 guests behind an AMD IOMMU: device table and page tables in guest memory, command buffer, event log; translated,
 * pass-through and identity domains.
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
import { amdIommuOptionsSchema, type AmdIommuOptions } from './amd-iommu-options.ts';
import { AmdIommuPlatform } from './amd-iommu-platform.ts';
import { simulateAmdIommu } from './simulated/simulate-amd-iommu.ts';
import { AMD_IOMMU_FACILITY, type AmdIommuFacility } from './unit/amd-facility.ts';

export {
  amdIommuOptionsSchema,
  type AmdIommuFailures,
  type AmdIommuOptions,
  type SimulatedAmdOptions,
} from './amd-iommu-options.ts';
export { AmdIommuPlatform, amdIommuRules } from './amd-iommu-platform.ts';
export { SimulatedAmdIommu, type SimulatedAmdIommuOptions } from './simulated/simulated-amd-iommu.ts';
export type { AmdState } from './simulated/amd-state.ts';
export { AMD_IOMMU_FACILITY, type AmdIommuFacility } from './unit/amd-facility.ts';
export type { AmdFault } from './unit/amd-fault.ts';

const plugin: PlatformPlugin<AmdIommuOptions> = definePlatformPlugin({
  kind: 'platform',
  name: 'amd-iommu',
  apiVersion: PLUGIN_API_VERSION,
  options: amdIommuOptionsSchema,
  simulatedOptions: ['unit'],
  needs: [AMD_IOMMU_FACILITY],
  needsRequesterId: () => 'finds the domain of a device in the entry of its requester id in the device table',
  addressingProblem(addressing, memory, { domain }) {
    if (domain === 'translated') return keptBitsProblem(addressing, PAGE_SIZE);
    return physicalProblem(addressing, memory, `platform.domain: ${domain}`, 'use platform.domain: translated');
  },
  register(container, options) {
    container.register(PLATFORM, {
      useFactory: (bound) =>
        new AmdIommuPlatform(
          options,
          bound.resolve(GUEST_MEMORY),
          bound.resolve<AmdIommuFacility>(AMD_IOMMU_FACILITY),
          deviceAddressing(bound),
        ),
    });
  },
  simulate: simulateAmdIommu,
});

export default plugin;
