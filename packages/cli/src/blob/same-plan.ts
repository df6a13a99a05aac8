import { CodedError } from '@virtio-platform/core';
import { compare } from '../run/run-part.ts';
import type { BlobHead, BlobRun } from './blob-lines.ts';
import type { Blob } from './read-blob.ts';

/**
 * Where the runs of another shard's plan are in that of the first: by their places there. The two are the same runs,
 * perhaps in another order. Throws {@link CodedError} `ERR_RUN_MERGE` where they are not.
 */
export function placesInPlan(first: Blob, other: Blob): readonly number[] {
  const [expected, actual] = [sorted(first.head), sorted(other.head)];
  for (let i = 0; i < Math.max(expected.length, actual.length); i++) {
    const difference = differenceOf(expected[i]?.run, actual[i]?.run, [first.file, other.file]);
    if (difference !== undefined) throw otherRuns(first, other, difference);
  }
  const option = otherOption(first.head, other.head);
  if (option !== undefined) throw otherRuns(first, other, option);
  const places = Array.from(actual, () => 0);
  for (const [i, { at }] of actual.entries()) places[at] = expected[i]!.at;
  return places;
}

function sorted({ plan }: BlobHead): { readonly run: BlobRun; readonly at: number }[] {
  return plan.map((run, at) => ({ run, at })).toSorted((a, b) => compare(a.run, b.run) || a.at - b.at);
}

/** How the runs at one place of two sorted plans differ. */
function differenceOf(
  expected: BlobRun | undefined,
  actual: BlobRun | undefined,
  [first, other]: readonly [string, string],
): string | undefined {
  const order = expected === undefined ? 1 : actual === undefined ? -1 : compare(expected, actual);
  if (order < 0) return `only ${first} has the run ${nameOf(expected!)}`;
  if (order > 0) return `only ${other} has the run ${nameOf(actual!)}`;
  const [a, b] = [expected!, actual!];
  if (a.seed !== b.seed) return `the run ${nameOf(a)} has seed ${a.seed} in ${first} and ${b.seed} in ${other}`;
  if (a.made === b.made) return undefined;
  return `the run ${nameOf(a)} is another one: its profile differs, what that extends, or a value of --set`;
}

function nameOf({ name, file }: BlobRun): string {
  return `${name} (${file})`;
}

function otherOption({ options: a }: BlobHead, { options: b }: BlobHead): string | undefined {
  if (a.sanitize !== b.sanitize) return 'one of them was made with --sanitize';
  if (a.set.join('\n') !== b.set.join('\n')) return 'they were made with other values of --set';
  return undefined;
}

function otherRuns(first: Blob, other: Blob, difference: string): CodedError {
  const message = `${first.file} and ${other.file} are not parts of the same runs: ${difference}`;
  return new CodedError('ERR_RUN_MERGE', message, {
    hint: 'make every shard with the same profiles and options, from the same commit',
  });
}
