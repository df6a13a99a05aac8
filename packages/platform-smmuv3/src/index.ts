/**
 * Arm guests behind an SMMUv3: stream table, stage 1, command and event queues in guest memory; translated,
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
import { simulateSmmuv3 } from './simulated/simulated-smmu.ts';
import { smmuv3OptionsSchema, type Smmuv3Options } from './smmuv3-options.ts';
import { Smmuv3Platform } from './smmuv3-platform.ts';
import { SMMU_FACILITY, type SmmuFacility } from './unit/smmu-facility.ts';

export { SimulatedSmmu, type SimulatedSmmuSetup } from './simulated/simulated-smmu.ts';
export type { SmmuState } from './simulated/smmu-state.ts';
export {
  smmuv3OptionsSchema,
  type SimulatedSmmuOptions,
  type Smmuv3Failures,
  type Smmuv3Options,
} from './smmuv3-options.ts';
export { Smmuv3Platform, smmuv3Rules } from './smmuv3-platform.ts';
export { SMMU_FACILITY, type SmmuFacility } from './unit/smmu-facility.ts';
export type { SmmuFault } from './unit/smmu-fault.ts';

const plugin: PlatformPlugin<Smmuv3Options> = definePlatformPlugin({
  kind: 'platform',
  name: 'smmuv3',
  apiVersion: PLUGIN_API_VERSION,
  options: smmuv3OptionsSchema,
  simulatedOptions: ['unit'],
  needs: [SMMU_FACILITY],
  needsRequesterId: () => 'finds the stream table entry of a device by its requester id',
  addressingProblem(addressing, memory, { domain, granule }) {
    if (domain === 'translated') return keptBitsProblem(addressing, granule);
    return physicalProblem(addressing, memory, `platform.domain: ${domain}`, 'use platform.domain: translated');
  },
  register(container, options) {
    container.register(PLATFORM, {
      useFactory: (bound) =>
        new Smmuv3Platform(
          options,
          bound.resolve(GUEST_MEMORY),
          bound.resolve<SmmuFacility>(SMMU_FACILITY),
          deviceAddressing(bound),
        ),
    });
  },
  simulate: simulateSmmuv3,
});

export default plugin;
