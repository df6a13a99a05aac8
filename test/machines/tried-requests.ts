/** What `ALL_REQUESTS` is set for, by `npm run machines`: as many requests as the profiles ask for. */
export const TRIES_ALL: boolean = process.env['ALL_REQUESTS'] !== undefined;

/**
 * How many of the requests that a profile asks for a test makes of it, to end in time: a tenth, unless `part` says
 * another share, for profiles with many runs.
 */
export function triedRequests(requests: number, part = 1 / 10): number {
  return TRIES_ALL ? requests : Math.ceil(requests * part);
}
