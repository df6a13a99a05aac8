/** What `ALL_REQUESTS` is set for, by `npm run machines`: as many requests as the profiles ask for. */
const ALL = process.env['ALL_REQUESTS'] !== undefined;

/** How many of the requests that a profile asks for a test makes of it: a fifth, to end in time. */
export function triedRequests(requests: number): number {
  return ALL ? requests : requests / 5;
}
