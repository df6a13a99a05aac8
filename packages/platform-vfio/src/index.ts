/**
 * An unprivileged process: VFIO containers, I/O virtual addresses, pinning limits.
 *
 * @packageDocumentation
 */
import { definePlatformPlugin, PLATFORM, PLUGIN_API_VERSION, type PlatformPlugin } from '@virtio-platform/core';
import { vfioOptionsSchema, type VfioOptions } from './options.ts';
import { simulateVfio } from './simulated/simulate-vfio.ts';
import { VFIO_CONTAINER } from './vfio-container.ts';
import { VFIO_OPTIONS, VfioPlatform } from './vfio-platform.ts';

export { IovaSpace } from './iova-space.ts';
export { vfioOptionsSchema, type VfioOptions, type VfioOptionsInput } from './options.ts';
export { IoPageTable } from './simulated/io-page-table.ts';
export {
  IoPageTableTranslation,
  translatedAddressSpace,
  type IoPageTableState,
} from './simulated/io-page-table-translation.ts';
export { simulateVfio } from './simulated/simulate-vfio.ts';
export { SimulatedContainer } from './simulated/simulated-container.ts';
export * from './vfio-container.ts';
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
    container.registerSingleton(PLATFORM, VfioPlatform);
  },
  simulate: simulateVfio,
});

export default plugin;
