import { HOSTILE_CASES } from '../src/hostile-cases.ts';
import { filesNaming, naming } from './case-tests.ts';
import type { Mutation } from './mutation.ts';
import { MUTATIONS } from './mutations.ts';
import { TestBench, type TestRun } from './test-bench.ts';

/** The tests of the rings, without those that explore for long: for mutations of no case. */
const RING_TESTS =
  /^packages\/(core\/test\/queue|conformance\/test\/(hostile|mapping-faults|ring-regr|single-reads|split-ring))/;

/** A case on one of its layouts, or alone where it has none. */
interface Place {
  readonly number: string;
  readonly layout: string;
  readonly name: string;
}

function placesOf(cases: readonly string[]): Place[] {
  return HOSTILE_CASES.filter(({ number }) => cases.includes(number)).flatMap(({ number, layouts }) =>
    layouts.length === 0
      ? [{ number, layout: '', name: number }]
      : layouts.map((layout) => ({ number, layout, name: `${number} ${layout}` })),
  );
}

/** Those of these places for which a test passed, or failed: its name has the number and the layout. */
function placesSeen(places: readonly Place[], { tests }: TestRun, isPassed: boolean): Place[] {
  const names = tests.filter((test) => test.isPassed === isPassed).map(({ name }) => name.toLowerCase());
  return places.filter(({ number, layout }) =>
    names.some((name) => naming([number.toLowerCase()]).test(name) && name.includes(layout)),
  );
}

/**
 * Says what is wrong with the tests as they are: each has to pass, and every case needs one for each of its layouts.
 */
function complaints(run: TestRun, places: readonly Place[]): string[] {
  const failed = run.tests.filter(({ isPassed }) => !isPassed).map(({ name }) => `fails without any mutation: ${name}`);
  const seen = placesSeen(places, run, true);
  const missing = places.filter((place) => !seen.includes(place)).map(({ name }) => `has no test: ${name}`);
  return [...run.errors, ...failed, ...missing];
}

/** Runs the tests that have to find a mutation. */
function tryMutation(bench: TestBench, mutation: Mutation): Promise<TestRun> {
  const { cases } = mutation;
  if (cases.length > 0) return bench.run(filesNaming(cases), naming(cases), mutation);
  const files = filesNaming([]).filter((file) => RING_TESTS.test(file));
  return bench.run(files, /^/, mutation);
}

/** Whether a test of each case of the mutation failed, or any test where it has none. */
function isFound({ cases }: Mutation, { tests }: TestRun): boolean {
  const failed = tests.filter(({ isPassed }) => !isPassed);
  if (cases.length === 0) return failed.length > 0;
  return cases.every((number) => failed.some(({ name }) => naming([number]).test(name)));
}

/**
 * Tries each mutation, or those given by their place in the list or by a case, and prints which were found. One that
 * survives is a test that is missing. At the end it wants every case, or those given, seen to fail on each of its
 * layouts.
 */
async function main(words: readonly string[]): Promise<number> {
  const chosen = [...MUTATIONS.entries()].filter(
    ([at, { cases }]) => words.length === 0 || [String(at), ...cases].some((word) => words.includes(word)),
  );
  const places = placesOf(chosen.flatMap(([, { cases }]) => cases));
  const numbers = [...new Set(places.map(({ number }) => number))];
  const bench = await TestBench.open();
  try {
    const wrong = complaints(await bench.run(filesNaming(numbers), naming(numbers)), places);
    for (const complaint of wrong) process.stderr.write(`${complaint}\n`);
    const seen = new Set<string>();
    let found = 0;
    for (const [at, mutation] of chosen) {
      const run = await tryMutation(bench, mutation);
      const failed = placesSeen(placesOf(mutation.cases), run, false).map(({ name }) => name);
      for (const name of failed) seen.add(name);
      if (isFound(mutation, run)) found++;
      const verdict = isFound(mutation, run) ? 'found   ' : 'SURVIVED';
      process.stdout.write(`${verdict} ${at} ${mutation.file} ${mutation.name} (${failed.join(', ')})\n`);
    }
    const wanted = words.length === 0 ? places : placesOf(words);
    const unseen = wanted.filter(({ name }) => !seen.has(name));
    for (const { name } of unseen) process.stdout.write(`NEVER SEEN TO FAIL ${name}\n`);
    process.stdout.write(`${found} of ${chosen.length} mutations found\n`);
    process.stdout.write(`${wanted.length - unseen.length} of ${wanted.length} cases, by layout, were seen to fail\n`);
    return wrong.length === 0 && found === chosen.length && unseen.length === 0 ? 0 : 1;
  } finally {
    await bench.close();
  }
}

process.exitCode = await main(process.argv.slice(2));
