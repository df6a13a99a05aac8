/**
 * An unprivileged process: VFIO containers, I/O virtual addresses, pinning limits.
 *
 * @packageDocumentation
 */
import {
  definePlatformPlugin,
  deviceAddressing,
  GUEST_MEMORY,
  PLATFORM,
  PLUGIN_API_VERSION,
  type Platform,
  type PlatformPlugin,
} from '@virtio-platform/core';
import { keptBitsProblem, physicalProblem, type AddressingProblem } from '@virtio-platform/core/dma';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { VFIO_CONTAINER, type VfioContainer } from './container/vfio-container.ts';
import { NoiommuPlatform } from './noiommu-platform.ts';
import { SIMULATED_OPTIONS, vfioOptionsSchema, type VfioOptions } from './options.ts';
import { simulateVfio } from './simulated/simulate-vfio.ts';
import { VfioPlatform } from './vfio-platform.ts';

export * from './container/errno.ts';
export * from './container/vfio-container.ts';
export { COMPAT_CONTAINER_CHECKS } from './contract/compat-container-checks.ts';
export type { Type1ContainerCheck, Type1ContainerSubject } from './contract/container-check.ts';
export { TYPE1_CONTAINER_CHECKS } from './contract/type1-container-checks.ts';
export { NoiommuPlatform } from './noiommu-platform.ts';
export {
  PARTIAL_PAGES,
  vfioOptionsSchema,
  type AfterExec,
  type VfioOptions,
  type VfioOptionsInput,
} from './options.ts';
export {
  IoPageTable,
  IoPageTableTranslation,
  translatedAddressSpace,
  type IoPageTableState,
} from './simulated/io-page-table.ts';
export { SimulatedNoiommuContainer, simulateVfio } from './simulated/simulate-vfio.ts';
export { SimulatedCompatContainer } from './simulated/simulated-compat-container.ts';
export { SimulatedIoas } from './simulated/simulated-ioas.ts';
export { SimulatedSpaprContainer } from './simulated/simulated-spapr-container.ts';
export { SimulatedType1Container } from './simulated/simulated-type1-container.ts';
export { TceWindows } from './simulated/tce-windows.ts';
export type { OtherDevice } from './simulated/other-devices.ts';
export type { KeptMapping } from './iova/keep-over-exec.ts';
export { VfioDmaMapping, type VfioDmaMappingOptions } from './vfio-dma-mapping.ts';
export { VfioPlatform } from './vfio-platform.ts';
export { VFIO_RULES } from './vfio-rules.ts';

const plugin: PlatformPlugin<VfioOptions> = definePlatformPlugin({
  kind: 'platform',
  name: 'vfio',
  apiVersion: PLUGIN_API_VERSION,
  options: vfioOptionsSchema,
  simulatedOptions: SIMULATED_OPTIONS,
  needs: [VFIO_CONTAINER],
  needsRequesterId: ({ container }) =>
    container === 'noiommu' ? undefined : 'confines a device by an IOMMU, which tells it by the requester id',
  refusesExec: ({ container }) =>
    container === 'type1' || container === 'type1v2'
      ? undefined
      : `has a container of ${container}, which cannot give the memory of a mapping other addresses (VFIO_UPDATE_VADDR)`,
  addressingProblem(addressing, memory, { container, window, iovaStart = 0 }) {
    if (container === 'noiommu') {
      const hint = 'use a container with an IOMMU';
      return physicalProblem(addressing, memory, 'platform.container: noiommu', hint);
    }
    const { addressBits } = addressing;
    if (window !== undefined && addressBits < 64)
      return beyondReach(addressBits, 'the window begins at 2^59', 'leave platform.window out');
    if (iovaStart >= 2 ** addressBits)
      return beyondReach(addressBits, 'platform.iovaStart is beyond', 'leave platform.iovaStart out');
    return keptBitsProblem(addressing, PAGE_SIZE);
  },
  register(container, options) {
    container.register<Platform>(PLATFORM, {
      useFactory: (bound) => {
        const facility = bound.resolve<VfioContainer>(VFIO_CONTAINER);
        const memory = bound.resolve(GUEST_MEMORY);
        if (options.container === 'noiommu') return new NoiommuPlatform(memory, facility);
        return new VfioPlatform(options, memory, facility, deviceAddressing(bound));
      },
    });
  },
  simulate: simulateVfio,
});

function beyondReach(addressBits: number, what: string, hint: string): AddressingProblem {
  return { about: 'addressBits', message: `the device takes ${addressBits} bits, and ${what}`, hint };
}

export default plugin;
