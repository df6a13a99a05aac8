/**
 * POWER guests behind a paravirtual IOMMU: TCE windows; identity, linear and dynamic mapping.
 *
 * @packageDocumentation
 */
import {
  definePlatformPlugin,
  PHYSICAL_ADDRESS_SPACE,
  PLATFORM,
  PLUGIN_API_VERSION,
  type AddressSpaceBlueprint,
  type PlatformPlugin,
} from '@virtio-platform/core';
import { pseriesOptionsSchema, type PseriesOptions } from './pseries-options.ts';
import { PSERIES_OPTIONS, PseriesPlatform } from './pseries-platform.ts';
import { ADDRESS_SPACE_MODULE, openAddressSpace } from './simulated/open-address-space.ts';
import { SimulatedTceTables } from './simulated/simulated-tce-tables.ts';
import { TCE_FACILITY } from './tce-facility.ts';

export { DynamicTceWindow } from './dynamic-tce-window.ts';
export { pseriesOptionsSchema, type PseriesOptions, type WindowOptions } from './pseries-options.ts';
export { PSERIES_OPTIONS, PseriesPlatform } from './pseries-platform.ts';
export { PSERIES_RULES } from './pseries-rules.ts';
export { SimulatedTceTables } from './simulated/simulated-tce-tables.ts';
export { TceDmaMapping } from './tce-dma-mapping.ts';
export * from './tce-facility.ts';
export { TceWindow } from './tce-window.ts';

const plugin: PlatformPlugin<PseriesOptions> = definePlatformPlugin({
  kind: 'platform',
  name: 'pseries',
  apiVersion: PLUGIN_API_VERSION,
  options: pseriesOptionsSchema,
  needs: [TCE_FACILITY],
  register(container, options) {
    container.register(PSERIES_OPTIONS, { useValue: options });
    container.registerSingleton(PLATFORM, PseriesPlatform);
  },
  simulate(memory, options) {
    const { defaultWindowSize, guestEndian } = options;
    const tables = new SimulatedTceTables({ memorySize: memory.size, defaultWindowSize });
    const translated: AddressSpaceBlueprint = {
      module: ADDRESS_SPACE_MODULE,
      state: tables.state,
      open: openAddressSpace,
    };
    return {
      facilities: new Map([[TCE_FACILITY, tables]]),
      guestByteOrder: guestEndian,
      addressSpace: (offersAccessPlatform) => (offersAccessPlatform ? translated : PHYSICAL_ADDRESS_SPACE),
    };
  },
});

export default plugin;
