import 'reflect-metadata';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { CReference } from '@virtio-platform/bench';
import { readLimits, writeLimits, GATE_ENDS, type GateEnd, type GateLimits } from './gate-limits.ts';
import { aboveLimits, GateMeasurement, type GateFigure } from './gate-measurement.ts';
import { SlowedRing } from './slowed-ring.ts';

const USAGE = `usage: npm run bench:gate -- [--runs <n>] [--slowed <percent>] [--write]
Holds each end of the ring to its ratio to the same ring in C. Exits with 1 where it is above. On another processor,
Node or compiler than that of the limits it prints the ratios, and holds the bytes of heap alone.
  --runs <n>          does it n times, and counts how often it failed
  --slowed <percent>  slows a copy of what is built by so much, and exits with 1 where the gate does not see it
  --write             writes the ratios of today as the limits`;

/** Where a ratio is too large: another turn, up to so many. One is enough on a machine that does nothing else. */
const MOST_TURNS = 8;
/** Turns of a measurement that is compared with another one. */
const CALM_TURNS = 3;
/** How often the useless steps are adapted to what they cost. */
const TRIALS = 2;

interface GateResult {
  readonly figures: readonly GateFigure[];
  readonly turns: number;
  readonly above: readonly string[];
}

/** Takes turns until every end is within its limits, or has had its turns. */
async function tryGate(reference: CReference, limits: GateLimits, worker?: string): Promise<GateResult> {
  const measurement = new GateMeasurement(reference, worker);
  let above: readonly string[];
  do {
    await measurement.turn();
    above = aboveLimits(measurement.figures, limits);
  } while (above.length > 0 && measurement.turns < MOST_TURNS);
  return { figures: measurement.figures, turns: measurement.turns, above };
}

/** The figures after {@link CALM_TURNS} turns. */
async function measureCalmly(reference: CReference, worker?: string): Promise<readonly GateFigure[]> {
  const measurement = new GateMeasurement(reference, worker);
  while (measurement.turns < CALM_TURNS) await measurement.turn();
  return measurement.figures;
}

/** The limits that hold here: those of another processor or compiler say nothing of the ratios of this one. */
function limitsOn(machine: string, limits: GateLimits): GateLimits {
  if (machine === limits.measuredOn) return limits;
  print(`The ratios were measured on: ${limits.measuredOn}`);
  print(
    `This is: ${machine}. The ratios are printed, and the bytes alone are held; --write writes the ratios of today.`,
  );
  return { ...limits, room: Infinity };
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function printResult({ figures, turns, above }: GateResult, { ratios }: GateLimits): void {
  for (const { end, ratio, bytes } of figures) {
    const before = (ratio / ratios[end]).toFixed(2);
    print(`${end.padEnd(14)} ${ratio.toFixed(2)} times C, ${before} of its limit's ratio, ${bytes.toFixed(2)} bytes`);
  }
  for (const line of above) print(`above: ${line}`);
  print(`${above.length === 0 ? 'within the limits' : 'NOT within the limits'} after ${turns} of ${MOST_TURNS} turns`);
}

/** The gate itself, or several of them. */
async function runGate(reference: CReference, limits: GateLimits, runs: number): Promise<number> {
  let failed = 0;
  for (let run = 1; run <= runs; run++) {
    const result = await tryGate(reference, limits);
    if (result.above.length > 0) failed++;
    printResult(result, limits);
    if (runs > 1) print(`run ${run} of ${runs}: ${failed} failed so far`);
  }
  return failed > 0 ? 1 : 0;
}

/** Slows every end of a copy by `percent`, adapted to what is measured, and has the gate look at it. */
async function runSlowed(reference: CReference, limits: GateLimits, percent: number): Promise<number> {
  const plain = await measureCalmly(reference);
  // A step takes about a nanosecond: found out by trying.
  let steps = record((end) => (timeOf(plain, end) * percent) / 100);
  for (let trial = 1; ; trial++) {
    const slowed = new SlowedRing(steps);
    try {
      const figures = await measureCalmly(reference, slowed.worker);
      const seen = record((end) => ratioOf(figures, end) / ratioOf(plain, end) - 1);
      print(`slowed by ${GATE_ENDS.map((end) => `${end} ${(seen[end] * 100).toFixed(0)} %`).join(', ')}`);
      const isClose = GATE_ENDS.every((end) => Math.abs(seen[end] * 100 - percent) < percent / 8);
      if (!isClose && trial < TRIALS) {
        const last = steps;
        steps = record((end) => Math.max(1, (last[end] * percent) / 100 / Math.max(0.05, seen[end])));
        continue;
      }
      const result = await tryGate(reference, limits, slowed.worker);
      printResult(result, limits);
      const unseen = GATE_ENDS.filter((end) => !result.above.some((line) => line.startsWith(`${end}: `)));
      if (unseen.length === 0) print(`the gate sees each end that is slowed`);
      else print(`the gate does not see: ${unseen.join(', ')}`);
      return unseen.length === 0 ? 0 : 1;
    } finally {
      slowed.dispose();
    }
  }
}

function record(value: (end: GateEnd) => number): Record<GateEnd, number> {
  // The only untyped border: the keys are the ends.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return Object.fromEntries(GATE_ENDS.map((end) => [end, value(end)])) as Record<GateEnd, number>;
}

function timeOf(figures: readonly GateFigure[], end: GateEnd): number {
  return figures.find((figure) => figure.end === end)!.ours;
}

function ratioOf(figures: readonly GateFigure[], end: GateEnd): number {
  return figures.find((figure) => figure.end === end)!.ratio;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      runs: { type: 'string', default: '1' },
      slowed: { type: 'string' },
      write: { type: 'boolean', default: false },
    },
  });
  const runs = Number(values.runs);
  const percent = values.slowed === undefined ? undefined : Number(values.slowed);
  if (!(runs >= 1) || (percent !== undefined && !(percent > 0))) throw new TypeError(USAGE);
  const reference = await CReference.open();
  if (reference === undefined) {
    print('The gate needs a C compiler: apt-get install gcc libc6-dev');
    return 1;
  }
  try {
    const measuredOn = `${cpus()[0]?.model}, Node ${process.version}, ${reference.compiler}`;
    if (percent !== undefined) return await runSlowed(reference, readLimits(), percent);
    if (!values.write) return await runGate(reference, limitsOn(measuredOn, readLimits()), runs);
    const figures = await measureCalmly(reference);
    writeLimits({ ...readLimits(), measuredOn, ratios: record((end) => Number(ratioOf(figures, end).toFixed(2))) });
    return 0;
  } finally {
    reference.dispose();
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
