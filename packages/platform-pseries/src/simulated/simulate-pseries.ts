import type { FacilityToken, SimulatedHardware } from '@virtio-platform/core';
import type { AddressSpaceBlueprint } from '@virtio-platform/core/address-space';
import { PageStates, type GuestMemory } from '@virtio-platform/core/memory';
import type { PseriesOptions } from '../pseries-options.ts';
import { TCE_FACILITY, ULTRAVISOR_FACILITY } from '../tce-facility.ts';
import { ADDRESS_SPACE_MODULE, openAddressSpace, type PseriesAddressSpaceState } from './open-address-space.ts';
import { SimulatedTceTables } from './simulated-tce-tables.ts';
import { SimulatedUltravisor } from './simulated-ultravisor.ts';

/** Simulates the TCE tables of a POWER guest, and for a secure guest the ultravisor. */
export function simulatePseries(memory: GuestMemory, options: PseriesOptions): SimulatedHardware {
  const { defaultWindowSize, dynamicWindows, failures, guestEndian, hypervisor, multiTce, secure } = options;
  const pages = secure ? PageStates.create(memory.size) : undefined;
  const ultravisor = pages && new SimulatedUltravisor(memory, pages);
  const tables = new SimulatedTceTables({
    memorySize: memory.size,
    defaultWindowSize,
    hypervisor,
    dynamicWindows,
    multiTce,
    defaultBase: options.defaultWindowAddress,
    secondBase: options.dynamicWindowAddress,
    pageShifts: options.pageSizes.map((size) => Math.log2(size)),
    lostInvalidations: failures.invalidation,
  });
  const translated = blueprint({ tables: tables.state, pages: pages?.buffer });
  const physical = blueprint({ tables: undefined, pages: pages?.buffer });
  return {
    facilities: new Map<FacilityToken, unknown>([
      [TCE_FACILITY, tables],
      ...(ultravisor === undefined ? [] : [[ULTRAVISOR_FACILITY, ultravisor] as const]),
    ]),
    guestByteOrder: guestEndian,
    addressSpace: (offersAccessPlatform) => (offersAccessPlatform ? translated : physical),
  };
}

function blueprint(state: PseriesAddressSpaceState): AddressSpaceBlueprint {
  return { module: ADDRESS_SPACE_MODULE, state, open: openAddressSpace };
}
