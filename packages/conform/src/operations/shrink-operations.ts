import type { Operation } from './operation.ts';

/** Trials of one search, each of which runs a device, and how long all of them may take. */
const MOST_TRIALS = 300;
const MOST_MS = 20_000;

/**
 * The fewest of some operations that still fail, as far as a bounded search finds: runs of them are left out, long ones
 * first, until each operation that is left is needed. `fails` says whether operations do.
 */
export async function shrinkOperations(
  operations: readonly Operation[],
  fails: (operations: readonly Operation[]) => Promise<boolean>,
  milliseconds: number = MOST_MS,
): Promise<readonly Operation[]> {
  let kept = operations;
  let trials = 0;
  const deadline = performance.now() + milliseconds;
  const isOver = (): boolean => trials >= MOST_TRIALS || performance.now() > deadline;
  for (let length = Math.ceil(kept.length / 2); length >= 1;) {
    const before = kept.length;
    for (let at = 0; at < kept.length && !isOver();) {
      const fewer = [...kept.slice(0, at), ...kept.slice(at + length)];
      trials++;
      if (await fails(fewer)) kept = fewer;
      else at += length;
    }
    if (isOver()) break;
    if (length > 1) length = Math.ceil(length / 2);
    // What one operation was needed for may be gone by now.
    else if (kept.length === before) break;
  }
  return kept;
}
