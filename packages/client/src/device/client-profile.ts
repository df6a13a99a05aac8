import {
  loadProfile,
  ProfileError,
  type Profile,
  type ProfileObject,
  type ProfileSource,
} from '@virtio-platform/profile';
import { otherDevice } from '../client-error.ts';
import type { OpenOptions, ProfileLike } from './open-options.ts';

/** The sections that an object may leave out, unless it extends another profile. The workload is never run. */
const DEFAULTS = {
  profile: 'client',
  platform: { use: '@virtio-platform/platform-legacy' },
  machine: { use: '@virtio-platform/machine-simulated', memory: '16MiB' },
} as const satisfies ProfileObject;

/** What a client asks of the profile. */
export interface WantedProfile {
  /** The name of the device type. */
  readonly name: string;
  /** Stands for the workload of an object without one. */
  readonly workload: NonNullable<ProfileObject['workload']>;
}

/**
 * Loads the profile of a client; one that was loaded is taken as it is. Rejects with {@link ProfileError}, and with
 * `ERR_CLIENT_DEVICE` where an object without a workload has another device type.
 */
export async function clientProfile(
  source: ProfileLike,
  { name, workload }: WantedProfile,
  options: OpenOptions,
): Promise<Profile> {
  if (isLoaded(source)) return source;
  const load = { ...options.load, runsWorkload: false };
  if (!isObject(source) || 'extends' in source) return await loadProfile(source, load);
  try {
    return await loadProfile({ ...DEFAULTS, workload, ...source }, load);
  } catch (error) {
    const isOther = error instanceof ProfileError && error.issues.every(({ path }) => path === 'workload.kind');
    const type = source.device?.type;
    if (isOther && source.workload === undefined && type !== undefined && type !== name)
      throw otherDevice(source.profile ?? DEFAULTS.profile, type, name);
    throw error;
  }
}

function isObject(source: ProfileSource): source is ProfileObject {
  return typeof source === 'object' && source !== null && !(source instanceof URL) && !('text' in source);
}

/** Only a profile that was checked has the type of its device in it. */
function isLoaded(source: ProfileSource | Profile): source is Profile {
  if (typeof source !== 'object' || source === null || !('device' in source)) return false;
  const { device } = source;
  return typeof device === 'object' && device !== null && 'type' in device && typeof device.type === 'object';
}
