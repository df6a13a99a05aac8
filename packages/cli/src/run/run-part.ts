import { partOf, type Shard } from '../shard.ts';

/** What tells a run from the others of a command. */
interface RunKey {
  /** A portable path. */
  readonly file: string;
  readonly name: string;
}

/**
 * The places, ascending, of the runs that a shard makes. Which these are does not depend on the order of the profiles
 * on the command line, which may differ from machine to machine: each shard has every nth of the runs by file and name.
 */
export function placesOf(runs: readonly RunKey[], shard: Shard): readonly number[] {
  const sorted = runs.map((run, at) => ({ run, at })).toSorted((a, b) => compare(a.run, b.run) || a.at - b.at);
  return partOf(sorted, shard)
    .map(({ at }) => at)
    .toSorted((a, b) => a - b);
}

/** By UTF-16 units, which is the same in every locale. */
export function compare(a: RunKey, b: RunKey): number {
  return compareText(a.file, b.file) || compareText(a.name, b.name);
}

function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
