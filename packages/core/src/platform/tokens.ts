import type { InjectionToken } from 'tsyringe';
import { FULL_ADDRESSING, type DeviceAddressing } from '../dma/device-addressing.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';
import type { Machine, MachineRequest } from './machine.ts';
import type { Platform } from './platform.ts';
import { token } from './plugin.ts';
import type { DependencyContainer } from './container.ts';

/** Tokens are `Symbol.for`, so that two installed copies of this package agree on them. */
export const PLATFORM: InjectionToken<Platform> = token('Platform');
/** The machine that `register` of a machine plugin binds. */
export const MACHINE: InjectionToken<Machine> = token('Machine');
/** The memory of the booted machine, which a platform gets. */
export const GUEST_MEMORY: InjectionToken<GuestMemory> = token('GuestMemory');
/** What a machine is asked to boot. */
export const MACHINE_REQUEST: InjectionToken<MachineRequest> = token('MachineRequest');
/** What the device of the profile can do with addresses, which a platform gets. Bound where it is known. */
export const DEVICE_ADDRESSING: InjectionToken<DeviceAddressing> = token('DeviceAddressing');

/** What the device can do with addresses, for the factory of a platform: everything where nothing is bound. */
export function deviceAddressing(container: Pick<DependencyContainer, 'isRegistered' | 'resolve'>): DeviceAddressing {
  return container.isRegistered(DEVICE_ADDRESSING) ? container.resolve(DEVICE_ADDRESSING) : FULL_ADDRESSING;
}
