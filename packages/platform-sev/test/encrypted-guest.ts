import { FaultLog, GUEST_MEMORY, GuestMemory, PLATFORM, type DeviceAddressSpace } from '@virtio-platform/core';
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

/** Boots a guest as a machine does. `host` may stand between the guest and the hardware. */
export function bootEncryptedGuest(
  options: SevOptions = { pool: 256 * 1024, emulatedIommu: false },
  host: (hardware: MemoryConversion) => MemoryConversion = (hardware) => hardware,
): EncryptedGuest {
  const memory = new GuestMemory(new SharedArrayBuffer(2 ** 20));
  const hardware = simulateSev(memory);
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
