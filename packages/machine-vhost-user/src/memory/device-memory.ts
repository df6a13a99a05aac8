import {
  CodedError,
  facilityName,
  type BootedMachine,
  type FacilityToken,
  type MachineRequest,
} from '@virtio-platform/core';
import type { DeviceAddressSpace, FaultLog } from '@virtio-platform/core/address-space';
import { VIRTIO_F_ACCESS_PLATFORM } from '@virtio-platform/core/features';
import { GuestMemory } from '@virtio-platform/core/memory';
import { ConvertibleMemory } from '@virtio-platform/host';
import { VTD_FACILITY } from '@virtio-platform/platform-intel-iommu';
import { TCE_FACILITY } from '@virtio-platform/platform-pseries';
import { MEMORY_CONVERSION } from '@virtio-platform/platform-sev';
import { VFIO_CONTAINER } from '@virtio-platform/platform-vfio';
import type { VhostUserConnection } from '../vhost-user-connection.ts';
import { MemoryRegions, type PlacedRing, type RingArea } from './memory-regions.ts';
import { RegionAddressSpace } from './region-address-space.ts';
import { RegionMemoryConversion } from './region-memory-conversion.ts';
import { RegionTceFacility } from './region-tce-facility.ts';
import { RegionVfioContainer } from './region-vfio-container.ts';
import { SharedPages } from './shared-pages.ts';
/**
 * The facilities that this machine provides, one at a time: each uses the same regions. VT-d needs a back-end that
 * translates.
 */
export const FACILITIES: readonly FacilityToken[] = [MEMORY_CONVERSION, TCE_FACILITY, VFIO_CONTAINER, VTD_FACILITY];

/** Access that the platform granted while no queue ran; the back-end has it only while a queue runs. */
export interface RecordedAccess {
  /** Gives the back-end the access. Throws {@link DmaError} when it takes more regions than there are. */
  apply(): void;
  /** Takes it back from the back-end. Called while no queue runs and no buffer is in flight. */
  withdraw(): void;
}

/** Guest memory, and how the platform says which parts of it the back-end may reach. */
export interface DeviceMemory {
  readonly memory: GuestMemory;
  /** What the platform programs, by token. */
  readonly facilities: ReadonlyMap<FacilityToken, unknown>;
  /** The parts of memory that the back-end has; `undefined` where it asks for the translation of each address. */
  readonly regions: MemoryRegions | undefined;
  /** `undefined` where every change takes effect at once. */
  readonly recorded: RecordedAccess | undefined;
  /** Called before the queues are enabled; absent where the back-end asks for each page. */
  readonly queuesSetUp?: (() => void) | undefined;
  /** Called once the device was reset: the back-end uses nothing any more. */
  readonly deviceReset?: (() => void) | undefined;
  readonly watchMapping?: BootedMachine['watchMapping'];
  /** Gives the memory to another process that is there in the place of the back-end. Throws {@link DeviceError}. */
  replay(): void;
  /**
   * Where `length` bytes of a ring at a device address are; `undefined` where the device does not reach them in one
   * run.
   */
  locate(low: number, high: number, length: number): RingArea | undefined;
  /** Guest memory as the device reaches it, for a queue that the front-end serves itself. */
  space(faults: FaultLog): DeviceAddressSpace;
  /** Unmaps and closes the memory. The mappings of the back-end stay. */
  dispose(): void;
}

/**
 * Creates guest memory behind the facility that the platform needs, for a back-end that finds every address in the
 * regions it was given. Throws {@link HostError} and {@link DeviceError}.
 */
export function openDeviceMemory(
  request: MachineRequest,
  connection: VhostUserConnection,
  memorySlots: number,
  rings: readonly PlacedRing[],
): DeviceMemory {
  const [need, another] = request.needs;
  if (another !== undefined) {
    throw new CodedError(
      'ERR_PLUGIN_FACILITY',
      `vhost-user provides one facility at a time, not ${request.needs.map(facilityName).join(' and ')}`,
      { hint: 'use the simulated machine for a platform that needs several' },
    );
  }
  const backing = ConvertibleMemory.create(request.memory);
  try {
    const memory = new GuestMemory(backing.buffer);
    const regions = new MemoryRegions(connection, new SharedPages(backing), memorySlots, rings);
    const facility = provide(need, request, memory, regions);
    return {
      memory,
      regions,
      facilities: new Map(need === undefined ? [] : [[need, facility]]),
      recorded: facility instanceof RegionTceFacility ? facility : undefined,
      locate: (low, high, length) => regions.locate(low, high, length),
      replay: () => regions.replay(),
      space: (faults) => new RegionAddressSpace(memory, regions, faults),
      dispose: () => backing.dispose(),
    };
  } catch (error) {
    backing.dispose();
    throw error;
  }
}

function provide(
  need: FacilityToken | undefined,
  request: MachineRequest,
  memory: GuestMemory,
  regions: MemoryRegions,
): unknown {
  if (need === MEMORY_CONVERSION) return new RegionMemoryConversion(memory, regions);
  if (need === VFIO_CONTAINER) return new RegionVfioContainer(memory.size, regions);
  if (need === VTD_FACILITY) {
    throw new CodedError('ERR_PLUGIN_FACILITY', 'this back-end does not offer ACCESS_PLATFORM, and VT-d translates', {
      hint: 'use a back-end that asks for translations, such as DPDK, or the simulated machine',
    });
  }
  const isTranslated = need === TCE_FACILITY && request.device.offers?.has(VIRTIO_F_ACCESS_PLATFORM) === true;
  if (isTranslated) return new RegionTceFacility(memory.size, regions);
  // Without an IOMMU, or where the device bypasses it, a device address is a guest-physical address: the device reaches
  // all of memory.
  regions.add({ guestAddress: 0n, offset: 0, size: memory.size });
  return need === TCE_FACILITY ? new RegionTceFacility(memory.size, undefined) : undefined;
}
