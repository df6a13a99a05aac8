import type { InjectionToken } from 'tsyringe';
import type { GuestMemory } from '../memory/guest-memory.ts';
import type { Machine, MachineRequest } from './machine.ts';
import type { Platform } from './platform.ts';
import { token } from './plugin.ts';

/** Tokens are `Symbol.for`, so that two installed copies of this package agree on them. */
export const PLATFORM: InjectionToken<Platform> = token('Platform');
/** The machine that `register` of a machine plugin binds. */
export const MACHINE: InjectionToken<Machine> = token('Machine');
/** The memory of the booted machine, which a platform gets. */
export const GUEST_MEMORY: InjectionToken<GuestMemory> = token('GuestMemory');
/** What a machine is asked to boot. */
export const MACHINE_REQUEST: InjectionToken<MachineRequest> = token('MachineRequest');
