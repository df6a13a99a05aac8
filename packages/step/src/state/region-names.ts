import type { Recording } from '../record/recording.ts';

const NAMES = new WeakMap<Recording, ReadonlyMap<number, string>>();

/**
 * What the region at a guest-physical address is for: a ring or the indirect tables of a queue, by where the rings of
 * the recording lie. `undefined` for any other, and where the memory of rings was not recorded.
 */
export function regionName(recording: Recording, address: number | null): string | undefined {
  if (address === null) return undefined;
  let names = NAMES.get(recording);
  if (names === undefined) NAMES.set(recording, (names = findNames(recording)));
  return names.get(address);
}

function findNames({ events }: Recording): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  for (const { placed } of events) {
    for (const { queue, address, tables } of placed) {
      names.set(address, `the ring of queue ${queue}`);
      if (tables !== null) names.set(tables.address, `the indirect tables of queue ${queue}`);
    }
  }
  return names;
}
