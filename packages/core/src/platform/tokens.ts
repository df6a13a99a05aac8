import type { InjectionToken } from 'tsyringe';
import type { GuestMemory } from '../memory/guest-memory.ts';
import type { Machine, MachineRequest } from './machine.ts';
import type { Platform } from './platform.ts';
import { token } from './plugin.ts';

/** Tokens are `Symbol.for`, so that two installed copies of this package agree on them. */
export const PLATFORM: InjectionToken<Platform> = token('Platform');
export const MACHINE: InjectionToken<Machine> = token('Machine');
export const GUEST_MEMORY: InjectionToken<GuestMemory> = token('GuestMemory');
export const MACHINE_REQUEST: InjectionToken<MachineRequest> = token('MachineRequest');
