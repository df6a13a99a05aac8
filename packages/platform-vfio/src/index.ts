/**
 * An unprivileged process: VFIO containers, I/O virtual addresses, pinning limits.
 *
 * @packageDocumentation
 */
import { definePlatformPlugin, PLATFORM, PLUGIN_API_VERSION, type PlatformPlugin } from '@virtio-platform/core';
import { VFIO_CONTAINER } from './container/vfio-container.ts';
import { NoiommuPlatform } from './noiommu-platform.ts';
import { vfioOptionsSchema, type VfioOptions } from './options.ts';
import { simulateVfio } from './simulated/simulate-vfio.ts';
import { VFIO_OPTIONS, VfioPlatform } from './vfio-platform.ts';

export * from './container/errno.ts';
export * from './container/vfio-container.ts';
export {
  TYPE1_CONTAINER_CHECKS,
  type Type1ContainerCheck,
  type Type1ContainerSubject,
} from './contract/type1-container-checks.ts';
export { NoiommuPlatform } from './noiommu-platform.ts';
export { vfioOptionsSchema, type VfioOptions, type VfioOptionsInput } from './options.ts';
export {
  IoPageTable,
  IoPageTableTranslation,
  translatedAddressSpace,
  type IoPageTableState,
} from './simulated/io-page-table.ts';
export { SimulatedNoiommuContainer, simulateVfio } from './simulated/simulate-vfio.ts';
export { SimulatedIoas } from './simulated/simulated-ioas.ts';
export { SimulatedSpaprContainer } from './simulated/simulated-spapr-container.ts';
export { SimulatedType1Container } from './simulated/simulated-type1-container.ts';
export { TceWindows } from './simulated/tce-windows.ts';
export { VfioDmaMapping } from './vfio-dma-mapping.ts';
export { VFIO_OPTIONS, VfioPlatform } from './vfio-platform.ts';
export { VFIO_RULES } from './vfio-rules.ts';

const plugin: PlatformPlugin<VfioOptions> = definePlatformPlugin({
  kind: 'platform',
  name: 'vfio',
  apiVersion: PLUGIN_API_VERSION,
  options: vfioOptionsSchema,
  needs: [VFIO_CONTAINER],
  register(container, options) {
    container.register(VFIO_OPTIONS, { useValue: options });
    container.registerSingleton(PLATFORM, options.container === 'noiommu' ? NoiommuPlatform : VfioPlatform);
  },
  simulate: simulateVfio,
});

export default plugin;
