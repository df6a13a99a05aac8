/**
 * POWER guests behind a paravirtual IOMMU: TCE windows; identity, linear and dynamic mapping.
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
import type { GuestMemory, MemoryConversion } from '@virtio-platform/core/memory';
import { keptBitsProblem } from '@virtio-platform/core/dma';
import { pseriesOptionsSchema, type PseriesOptions } from './pseries-options.ts';
import { PseriesPlatform } from './pseries-platform.ts';
import { simulatePseries } from './simulated/simulate-pseries.ts';
import { leaveTables } from './takeover/leave-tables.ts';
import { FORMER_OWNER } from './takeover/takeover-options.ts';
import { TCE_FACILITY, ULTRAVISOR_FACILITY, type TceFacility } from './tce-facility.ts';

export { DynamicTceWindow, type OnHypercallError } from './dynamic-tce-window.ts';
export { FailingTceFacility } from './failing-tce-facility.ts';
export { FailingUltravisor } from './failing-ultravisor.ts';
export { type PseriesFailures } from './pseries-failures.ts';
export { pseriesOptionsSchema, type PseriesOptions } from './pseries-options.ts';
export { type WindowOptions } from './window-options.ts';
export { PseriesPlatform } from './pseries-platform.ts';
export { pseriesRules } from './pseries-platform.ts';
export { SimulatedUltravisor } from './simulated/simulated-ultravisor.ts';
export { type DynamicWindows, type Hypervisor } from './simulated/simulated-tce-tables.ts';
export { SimulatedTceTables, type SimulatedTceOptions } from './simulated/simulated-tce-tables.ts';
export { type FormerWindows } from './takeover/former-windows.ts';
export { type FormerOwnerOptions } from './takeover/takeover-options.ts';
export { TceDmaMapping, type TceMappingTerms } from './tce-dma-mapping.ts';
export * from './tce-facility.ts';
export { FIRST_LIOBN, MOST_ENTRIES, WINDOW_COUNT } from './tce-windows.ts';
export { type CreatedWindow, type TceWindowTables, type TceWindowsOptions } from './tce-windows.ts';
export { TceWindow } from './tce-window.ts';
export { WindowedTables } from './windowed-tables.ts';

const plugin: PlatformPlugin<PseriesOptions> = definePlatformPlugin({
  kind: 'platform',
  name: 'pseries',
  apiVersion: PLUGIN_API_VERSION,
  options: pseriesOptionsSchema,
  simulatedOptions: [
    'defaultWindowSize',
    'defaultWindowAddress',
    'dynamicWindowAddress',
    'pageSizes',
    'hypervisor',
    'dynamicWindows',
    'failures.invalidation',
  ],
  needs: [TCE_FACILITY],
  needsWith: ({ secure }) => (secure ? [ULTRAVISOR_FACILITY] : []),
  needsRequesterId: () => 'has its TCE tables in a PCI host bridge, which tells devices apart by the requester id',
  addressingProblem(addressing, _memory, { window, secure }) {
    const { addressBits } = addressing;
    // Linux iommu_bypass_supported_pSeriesLP, wherever the window would be.
    if (window.kind === 'ddw' && addressBits < 64) {
      return {
        about: 'addressBits',
        message: `the 64-bit window is for devices that take 64 bits, and the device takes ${addressBits}`,
        hint: 'use platform.window: { kind: default }, as Linux does then',
      };
    }
    return secure ? undefined : keptBitsProblem(addressing, window.mapping === 'dynamic' ? window.pageSize : Infinity);
  },
  register(container, options) {
    container.register(PLATFORM, {
      useFactory(bound) {
        const memory = bound.resolve<GuestMemory>(GUEST_MEMORY);
        const tables = bound.resolve<TceFacility>(TCE_FACILITY);
        const ultravisor = options.secure ? bound.resolve<MemoryConversion>(ULTRAVISOR_FACILITY) : undefined;
        const { takeover, formerOwner = FORMER_OWNER } = options;
        const former = takeover && leaveTables(tables, memory, formerOwner, takeover);
        return new PseriesPlatform(options, memory, { tables, ultravisor }, former, deviceAddressing(bound));
      },
    });
  },
  simulate: simulatePseries,
});

export default plugin;
