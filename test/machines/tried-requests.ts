import type { Profile } from '@virtio-platform/profile';

/** What `ALL_REQUESTS` is set for, by `npm run machines`: as many requests as the profiles ask for. */
export const TRIES_ALL: boolean = process.env['ALL_REQUESTS'] !== undefined;

/**
 * How many of the requests that a profile asks for a test makes of it, to end in time: a tenth, unless `part` says
 * another share, for profiles with many runs.
 */
export function triedRequests(requests: number, part = 1 / 10): number {
  return TRIES_ALL ? requests : Math.ceil(requests * part);
}

/** What profiles ask for that show something over many requests. */
export const MANY_REQUESTS = 20_000;

/** The profile as a test makes it: with fewer requests where it asks for {@link MANY_REQUESTS}. */
export function triedProfile(profile: Profile): Profile {
  const { workload } = profile;
  if (workload.requests !== MANY_REQUESTS) return profile;
  return { ...profile, workload: { ...workload, requests: triedRequests(MANY_REQUESTS) } };
}
