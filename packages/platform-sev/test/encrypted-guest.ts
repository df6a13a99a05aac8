import type { DeviceAddressSpace, FaultLog } from '@virtio-platform/core/address-space';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { openPlatform } from '@virtio-platform/conformance/testing';
import sev, {
  MEMORY_CONVERSION,
  SevPlatform,
  type MemoryConversion,
  type SevOptions,
} from '@virtio-platform/platform-sev';

/** An encrypted guest with its platform, and its memory as a device sees it. */
export interface EncryptedGuest {
  readonly memory: GuestMemory;
  readonly conversion: MemoryConversion;
  readonly space: DeviceAddressSpace;
  readonly faults: FaultLog;
  readonly platform: SevPlatform;
}

/** What a profile gets that says nothing but the size of its pool. */
export const OPTIONS: SevOptions = {
  technology: 'sev',
  poolLimit: 256 * 1024,
  halvePool: false,
  pool: 256 * 1024,
  areas: 1,
  minAlignMask: 0,
  granule: 4096,
  ipaBits: 48,
  emulatedIommu: false,
  failures: { conversion: {} },
};

/** Boots a guest as a machine does. `host` may stand between the guest and the hardware. */
export function bootEncryptedGuest(
  changes: Partial<SevOptions> = {},
  host: (hardware: MemoryConversion) => MemoryConversion = (hardware) => hardware,
): EncryptedGuest {
  const { platform, memory, facility, space, faults } = openPlatform(
    sev,
    { ...OPTIONS, poolLimit: changes.pool ?? OPTIONS.pool, ...changes },
    {
      memory: 2 ** 20,
      facilities: (simulated) => new Map([[MEMORY_CONVERSION, host(simulated<MemoryConversion>(MEMORY_CONVERSION))]]),
    },
  );
  if (!(platform instanceof SevPlatform)) throw new TypeError(`the plugin binds the platform ${platform.name}`);
  return { memory, conversion: facility<MemoryConversion>(MEMORY_CONVERSION), space, faults, platform };
}
