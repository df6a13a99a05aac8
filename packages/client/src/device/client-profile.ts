import { loadProfile, type Profile, type ProfileObject, type ProfileSource } from '@virtio-platform/profile';
import type { OpenOptions, ProfileLike } from './open-options.ts';

/** The sections that an object may leave out, unless it extends another profile. The workload is never run. */
const DEFAULTS = {
  profile: 'client',
  platform: { use: '@virtio-platform/platform-legacy' },
  machine: { use: '@virtio-platform/machine-simulated', memory: '16MiB' },
} as const satisfies ProfileObject;

/**
 * Loads the profile of a client; one that was loaded is taken as it is. `workload` stands for that of an object without
 * one. Rejects with {@link ProfileError}.
 */
export async function clientProfile(
  source: ProfileLike,
  workload: NonNullable<ProfileObject['workload']>,
  options: OpenOptions,
): Promise<Profile> {
  if (isLoaded(source)) return source;
  const isObject = typeof source === 'object' && !(source instanceof URL) && !('text' in source);
  if (!isObject || 'extends' in source) return await loadProfile(source, options.load);
  return await loadProfile({ ...DEFAULTS, workload, ...source }, options.load);
}

/** Only a profile that was checked has the type of its device in it. */
function isLoaded(source: ProfileSource | Profile): source is Profile {
  if (typeof source !== 'object' || !('device' in source)) return false;
  const { device } = source;
  return typeof device === 'object' && 'type' in device && typeof device.type === 'object';
}
