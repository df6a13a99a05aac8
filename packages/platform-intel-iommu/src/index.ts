/**
 * x86 guests behind Intel VT-d: page tables in guest memory, invalidation, fault registers; translated, pass-through
 * and identity domains.
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
import { PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';
import { intelIommuOptionsSchema, type IntelIommuOptions } from './intel-iommu-options.ts';
import { IntelIommuPlatform } from './intel-iommu-platform.ts';
import { formerOwnerSchema } from './takeover/former-owner-options.ts';
import { leaveTables } from './takeover/leave-tables.ts';
import { simulateIntelIommu } from './simulated/simulated-vtd.ts';
import { VTD_FACILITY, type VtdFacility } from './unit/vtd-facility.ts';

export { FailingVtdFacility } from './unit/failing-vtd-facility.ts';
export {
  intelIommuOptionsSchema,
  type IntelIommuFailures,
  type IntelIommuOptions,
  type SimulatedUnitOptions,
} from './intel-iommu-options.ts';
export { IntelIommuPlatform } from './intel-iommu-platform.ts';
export { intelIommuRules } from './intel-iommu-platform.ts';
export { type FormerOwnerOptions } from './takeover/former-owner-options.ts';
export { SimulatedVtd, type SimulatedVtdOptions } from './simulated/simulated-vtd.ts';
export { CONTEXT_CACHED, GENERATION } from './simulated/vtd-state.ts';
export { VTD_FACILITY, type VtdFacility } from './unit/vtd-facility.ts';
export { type VtdFault } from './unit/vtd-fault.ts';

const plugin: PlatformPlugin<IntelIommuOptions> = definePlatformPlugin({
  kind: 'platform',
  name: 'intel-iommu',
  apiVersion: PLUGIN_API_VERSION,
  options: intelIommuOptionsSchema,
  simulatedOptions: ['unit'],
  needs: [VTD_FACILITY],
  needsRequesterId: () => 'finds the tables of a device in the context entry of its requester id',
  addressingProblem(addressing, memory, { domain }) {
    if (domain === 'translated') return keptBitsProblem(addressing, PAGE_SIZE);
    return physicalProblem(addressing, memory, `platform.domain: ${domain}`, 'use platform.domain: translated');
  },
  register(container, options) {
    container.register(PLATFORM, {
      useFactory(bound) {
        const memory = bound.resolve<GuestMemory>(GUEST_MEMORY);
        const facility = bound.resolve<VtdFacility>(VTD_FACILITY);
        const { takeover, formerOwner } = options;
        const open = (freeFormer?: () => void): IntelIommuPlatform =>
          new IntelIommuPlatform(options, memory, facility, freeFormer, deviceAddressing(bound));
        if (takeover === undefined) return open();
        const free = leaveTables(facility, memory, formerOwner ?? formerOwnerSchema.parse({}));
        if (takeover === 'kexec') {
          // All of memory is the next kernel's, also where the unit still reads its tables.
          free();
          return open();
        }
        try {
          return open(free);
        } catch (error) {
          free();
          throw error;
        }
      },
    });
  },
  simulate: simulateIntelIommu,
});

export default plugin;
