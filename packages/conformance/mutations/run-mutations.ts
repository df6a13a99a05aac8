import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { MISPLACED, MUTATIONS } from './mutations.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const CONFIG = fileURLToPath(new URL('./vitest.config.ts', import.meta.url));
/** The tests of the rings, without those that explore for long. */
const TESTS = [
  'packages/core/test/queue',
  ...['hostile', 'mapping-faults', 'ring-regressions', 'single-reads', 'split-ring'].map(
    (name) => `packages/conformance/test/${name}`,
  ),
];

/** Runs the tests of the rings, under a mutation or without. Returns whether all passed. */
function passes(number: number | undefined): boolean {
  const words = [
    'node_modules/vitest/vitest.mjs',
    'run',
    '--config',
    CONFIG,
    '--bail',
    '1',
    '--reporter',
    'dot',
    ...TESTS,
  ];
  const env = { ...process.env, MUTATION: String(number ?? 'none') };
  const { status, stdout, stderr } = spawnSync(process.execPath, words, {
    cwd: ROOT,
    env,
    encoding: 'utf8',
    timeout: 120_000,
  });
  if (`${stdout}${stderr}`.includes(MISPLACED)) throw new Error(`mutation ${number}: adapt it to the source`);
  return status === 0;
}

/** Tries each mutation, or those named by number, and prints which were found. A mutation that survives is a test that is missing. */
function main(words: readonly string[]): number {
  if (!passes(undefined)) {
    process.stderr.write('the tests fail without any mutation\n');
    return 1;
  }
  const numbers = words.length > 0 ? words.map(Number) : [...MUTATIONS.keys()];
  let found = 0;
  for (const number of numbers) {
    const isFound = !passes(number);
    if (isFound) found++;
    process.stdout.write(`${isFound ? 'found   ' : 'SURVIVED'} ${number} ${MUTATIONS[number]?.name}\n`);
  }
  process.stdout.write(`${found} of ${numbers.length} mutations found\n`);
  return found === numbers.length ? 0 : 1;
}

process.exitCode = main(process.argv.slice(2));
