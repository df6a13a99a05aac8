import { GUEST_MEMORY, PLATFORM } from '@virtio-platform/core';
import { FaultLog, type DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { GuestMemory } from '@virtio-platform/core/memory';
import { container } from 'tsyringe';
import sev, {
  MEMORY_CONVERSION,
  SevPlatform,
  simulateSev,
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
  pool: 256 * 1024,
  areas: 1,
  minAlignMask: 0,
  emulatedIommu: false,
  failures: { conversion: {} },
};

/** Boots a guest as a machine does. `host` may stand between the guest and the hardware. */
export function bootEncryptedGuest(
  changes: Partial<SevOptions> = {},
  host: (hardware: MemoryConversion) => MemoryConversion = (hardware) => hardware,
): EncryptedGuest {
  const options = { ...OPTIONS, ...changes };
  const memory = new GuestMemory(new SharedArrayBuffer(2 ** 20));
  const hardware = simulateSev(memory, options);
  const faults = new FaultLog();
  const blueprint = hardware.addressSpace(true);
  const run = container.createChildContainer();
  for (const [token, facility] of hardware.facilities) run.registerInstance(token, facility);
  const conversion = run.resolve<MemoryConversion>(MEMORY_CONVERSION);
  run.registerInstance(MEMORY_CONVERSION, host(conversion));
  run.registerInstance(GUEST_MEMORY, memory);
  sev.register(run, options);
  const platform = run.resolve(PLATFORM);
  if (!(platform instanceof SevPlatform)) throw new TypeError(`the plugin binds the platform ${platform.name}`);
  return {
    memory,
    conversion,
    space: blueprint.open(memory, faults, structuredClone(blueprint.state)),
    faults,
    platform,
  };
}
