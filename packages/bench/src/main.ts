import 'reflect-metadata';
import { parseArgs } from 'node:util';
import { measureReference, type ReferenceMeasurement } from './c-reference.ts';
import { measureRingLoop } from './measure-ring-loop.ts';
import { MEASURED_PLATFORMS } from './measured-platforms.ts';
import { DEPTH, QUEUE_SIZE } from './ring-loop.ts';

const USAGE = `usage: npm run bench -- [--requests <per sample>] [--samples <number>] [--json]
Measures the ring's steady state, both ends in one thread, against a split ring's in C.`;

/** One line of the result. */
interface BenchResult {
  /** Whose mapping the queue uses. */
  readonly platform: string;
  readonly layout: 'split' | 'packed';
  readonly buffers: 'mapped' | 'premapped';
  readonly descriptors: 'direct' | 'indirect';
  /** Median. */
  readonly nanosecondsPerRequest: number;
  readonly bytesPerRequest: number;
  /** How many times the C reference takes, which is a split ring; `undefined` without a C compiler. */
  readonly ratio: number | undefined;
}

function main(): number {
  const settings = readSettings();
  if (settings === undefined) {
    process.stderr.write(`${USAGE}\n`);
    return 2;
  }
  const { requests, samples, json } = settings;
  const reference = measureReference(requests, samples);
  const results = [...MEASURED_PLATFORMS.keys()].flatMap((platform) =>
    measureRingLoop(platform, requests, samples).map(
      ({ layout, premapped, indirect, nanosecondsPerRequest, bytesPerRequest }): BenchResult => {
        const median = medianOf(nanosecondsPerRequest);
        return {
          platform,
          layout,
          buffers: premapped ? 'premapped' : 'mapped',
          descriptors: indirect ? 'indirect' : 'direct',
          nanosecondsPerRequest: median,
          bytesPerRequest,
          ratio: reference && median / medianOf(indirect ? reference.indirect : reference.direct),
        };
      },
    ),
  );
  process.stdout.write(
    json ? toJson(requests, samples, reference, results) : toTable(requests, samples, reference, results),
  );
  return 0;
}

function readSettings(): { requests: number; samples: number; json: boolean } | undefined {
  try {
    const { values } = parseArgs({
      options: {
        requests: { type: 'string', default: '1000000' },
        samples: { type: 'string', default: '5' },
        json: { type: 'boolean', default: false },
      },
    });
    const [requests, samples] = [Number(values.requests), Number(values.samples)];
    const isUsable = Number.isInteger(requests) && requests > 0 && Number.isInteger(samples) && samples > 0;
    return isUsable ? { requests, samples, json: values.json } : undefined;
  } catch (error) {
    process.stderr.write(`${String(error)}\n`);
    return undefined;
  }
}

function toJson(
  requests: number,
  samples: number,
  reference: ReferenceMeasurement | undefined,
  results: readonly BenchResult[],
): string {
  const medians = reference && {
    compiler: reference.compiler,
    direct: medianOf(reference.direct),
    indirect: medianOf(reference.indirect),
  };
  return `${JSON.stringify({ requests, samples, queueSize: QUEUE_SIZE, depth: DEPTH, reference: medians, results }, undefined, 2)}\n`;
}

function toTable(
  requests: number,
  samples: number,
  reference: ReferenceMeasurement | undefined,
  results: readonly BenchResult[],
): string {
  const rows = [
    ['platform', 'layout', 'buffers', 'descriptors', 'ns/request', 'bytes/request', 'times C'],
    ...results.map((row) => [
      row.platform,
      row.layout,
      row.buffers,
      row.descriptors,
      row.nanosecondsPerRequest.toFixed(0),
      row.bytesPerRequest.toFixed(2),
      row.ratio === undefined ? '-' : row.ratio.toFixed(1),
    ]),
  ];
  if (reference !== undefined) {
    for (const kind of ['direct', 'indirect'] as const)
      rows.push(['C', 'split', '-', kind, medianOf(reference[kind]).toFixed(0), '-', '1.0']);
  }
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const table = rows.map((row) =>
    row.map((cell, column) => (column < 4 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))).join('  '),
  );
  const against =
    reference === undefined
      ? 'no C compiler was found, so there is nothing to compare with'
      : `compared with C (${reference.compiler}, -O2)`;
  const heading = `Ring of ${QUEUE_SIZE}, ${DEPTH} in flight, 3 segments a request; median of ${samples} samples of ${requests} requests; ${against}.`;
  return `${heading}\n\n${table.join('\n')}\n`;
}

function medianOf(samples: readonly number[]): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

process.exitCode = main();
