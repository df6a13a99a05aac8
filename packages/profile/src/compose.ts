import type { BootedMachine, Platform } from '@virtio-platform/core';
import type { Profile } from './profile.ts';

/** A run put together: a booted machine and the platform over it, with plain fields. No container is needed any more. */
export interface ComposedRun {
  readonly profile: Profile;
  /** Names as reports give them. */
  readonly platformName: string;
  readonly machineName: string;
  readonly machine: BootedMachine;
  readonly platform: Platform;
  /** Disposes the platform, then the machine, then the container. Never throws. */
  dispose(): Promise<void>;
}

/**
 * The only composition root: loads the two plugins a profile names, checks their options, and puts platform and machine
 * together in a container of their own. Throws coded errors that name the plugin and the place in the profile; then nothing
 * is left running.
 */
export async function composeRun(profile: Profile): Promise<ComposedRun> {
  throw new Error(`not composed: ${profile.name}`);
}
