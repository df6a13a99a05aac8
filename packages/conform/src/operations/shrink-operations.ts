import type { Operation } from './operation.ts';

/** Trials of one search, each of which runs a device. */
const MOST_TRIALS = 200;

/**
 * The fewest of some operations that still fail, as far as a bounded search finds: runs of them are left out, long ones
 * first. `fails` says whether operations do.
 */
export async function shrinkOperations(
  operations: readonly Operation[],
  fails: (operations: readonly Operation[]) => Promise<boolean>,
): Promise<readonly Operation[]> {
  let kept = operations;
  let trials = 0;
  for (let length = Math.ceil(kept.length / 2); length >= 1; length = length === 1 ? 0 : Math.ceil(length / 2)) {
    for (let at = 0; at < kept.length && trials < MOST_TRIALS;) {
      const fewer = [...kept.slice(0, at), ...kept.slice(at + length)];
      trials++;
      if (await fails(fewer)) kept = fewer;
      else at += length;
    }
  }
  return kept;
}
