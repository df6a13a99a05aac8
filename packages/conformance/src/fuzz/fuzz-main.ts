import { parseArgs } from 'node:util';
import { FUZZ_TARGETS, fuzzRings } from './fuzz-rings.ts';
const USAGE = 'usage: npm run fuzz -- [--executions <number>] [--seed <first>]';

/** Fuzzes both ends and prints what came out, and how often. A failure prints the seed to see it again. */
function main(): number {
  const { values } = parseArgs({
    options: {
      executions: { type: 'string', default: '1000000' },
      seed: { type: 'string', default: '1' },
    },
  });
  const [executions, seed] = [Number(values.executions), Number(values.seed)];
  if (!Number.isSafeInteger(executions) || executions < 1 || !Number.isSafeInteger(seed)) {
    process.stderr.write(`${USAGE}\n`);
    return 2;
  }
  for (const target of FUZZ_TARGETS) {
    const startedAt = performance.now();
    const { outcomes } = fuzzRings(target, seed, executions);
    const seconds = (performance.now() - startedAt) / 1000;
    process.stdout.write(`${target}: ${executions} executions in ${seconds.toFixed(1)} s, none failed\n`);
    for (const [outcome = 'not broken', { count, seed: first }] of outcomes) {
      process.stdout.write(`  ${outcome}: ${count}, first with seed ${first}\n`);
    }
  }
  return 0;
}

process.exitCode = main();
