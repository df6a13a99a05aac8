import 'reflect-metadata';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { formatTable, type BenchPart, type BenchSettings } from './bench-part.ts';
import { CReference } from './c-reference.ts';
import { measureEnds } from './measure/measure-ends.ts';
import { measurePlatforms } from './measure/measure-platforms.ts';
import { measureRecorder } from './measure/measure-recorder.ts';
import { measureThreads } from './measure/measure-threads.ts';
import { DEPTH, QUEUE_SIZE } from './ring-shape.ts';
const USAGE = `usage: npm run bench -- [ends] [threads] [platforms] [recorder] [--requests <per sample>] [--samples <number>] [--json]
Measures the ring's steady state: one end at a time, the ends in two threads, both under each platform, and the ends as they are recorded. All of it unless parts are named.`;

const PARTS: ReadonlyMap<string, BenchPart> = new Map([
  ['ends', measureEnds],
  ['threads', measureThreads],
  ['platforms', measurePlatforms],
  ['recorder', measureRecorder],
]);

interface Settings extends BenchSettings {
  readonly parts: readonly string[];
  readonly json: boolean;
}

function main(): number {
  const settings = readSettings();
  if (settings === undefined) {
    process.stderr.write(`${USAGE}\n`);
    return 2;
  }
  const reference = CReference.open();
  try {
    measureParts(settings, reference);
  } finally {
    reference?.dispose();
  }
  return 0;
}

/** Prints each table as soon as it is there, or one object in the end. */
function measureParts(settings: Settings, reference: CReference | undefined): void {
  const { requests, samples, json } = settings;
  const cores = availableParallelism();
  const results: Record<string, readonly object[]> = {};
  if (!json) process.stdout.write(`${headingOf(settings, reference, cores)}\n`);
  for (const [name, measurePart] of PARTS) {
    if (settings.parts.length > 0 && !settings.parts.includes(name)) continue;
    const table = measurePart(reference, settings);
    results[name] = table.results;
    if (!json) process.stdout.write(`\n${formatTable(table)}`);
  }
  const compiler = reference?.compiler;
  const printed = { requests, samples, queueSize: QUEUE_SIZE, depth: DEPTH, cores, compiler, ...results };
  if (json) process.stdout.write(`${JSON.stringify(printed, undefined, 2)}\n`);
}

function headingOf({ requests, samples }: Settings, reference: CReference | undefined, cores: number): string {
  const against =
    reference === undefined
      ? 'No C compiler was found, so there is nothing to compare with.'
      : `Compared with C (${reference.compiler}, -O2).`;
  return `Ring of ${QUEUE_SIZE}, ${DEPTH} in flight, ${cores} cores; ${samples} samples of ${requests} requests. ${against}`;
}

function readSettings(): Settings | undefined {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        requests: { type: 'string', default: '20000' },
        samples: { type: 'string', default: '200' },
        json: { type: 'boolean', default: false },
      },
    });
    const [requests, samples] = [Number(values.requests), Number(values.samples)];
    const isUsable = Number.isInteger(requests) && requests > 0 && Number.isInteger(samples) && samples > 0;
    const areParts = positionals.every((name) => PARTS.has(name));
    return isUsable && areParts ? { requests, samples, parts: positionals, json: values.json } : undefined;
  } catch (error) {
    process.stderr.write(`${String(error)}\n`);
    return undefined;
  }
}

process.exitCode = main();
