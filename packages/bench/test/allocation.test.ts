import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import {
  benchParts,
  HEAP_FLAGS,
  MEASURED_PLATFORMS,
  measureTasks,
  type BenchCase,
  type MeasureTask,
  type MeasuringAmount,
  type RoundsMeasurement,
} from '@virtio-platform/bench';
import { describe, expect, it } from 'vitest';

const TIMEOUT_MS = 60_000;
/**
 * The heap has up to five samples, whatever is asked for; the time needs no more than it takes to see some. As a
 * program has it that does not raise the budget for inlining.
 */
const AMOUNT: MeasuringAmount = { requests: 20_000, samples: 2, seconds: 0, raisesBudget: false };

async function measureRounds(tasks: readonly MeasureTask[]): Promise<readonly RoundsMeasurement[]> {
  const measurements = await measureTasks(tasks, AMOUNT);
  expect(measurements).toHaveLength(tasks.length);
  return measurements.map((measured) => {
    if (!('nanoseconds' in measured)) throw new TypeError('a latency was measured');
    return measured;
  });
}

function casesOf(part: string): readonly BenchCase[] {
  return benchParts().find(({ name }) => name === part)!.cases;
}

function taskOf({ subjects }: BenchCase): MeasureTask {
  const [own] = subjects;
  if (own?.kind !== 'task') throw new TypeError('ours is no task');
  return own.task;
}

// Once more where other work kept the compiler from a core: a loop that allocates does so each time.
describe('the ring in its steady state', { retry: 1 }, () => {
  it.each([...MEASURED_PLATFORMS.keys()])(
    'allocates at most one byte per request under %s',
    async (platform) => {
      // A table of descriptors is the ring's, so that one platform shows whether its ring allocates for it.
      const cases = casesOf('mappings').filter(
        ({ axes }) => axes['platform'] === platform && (platform === 'legacy' || axes['descriptors'] === 'direct'),
      );
      expect(cases).toHaveLength(platform === 'legacy' ? 8 : 4);
      // One process for all of them: their call sites see one class of mapping.
      const measurements = await measureRounds(cases.map(taskOf));
      for (const [at, { bytesPerRequest, collections }] of measurements.entries()) {
        expect(collections, cases[at]!.id).toBe(0);
        expect(bytesPerRequest, cases[at]!.id).toBeLessThanOrEqual(1);
      }
    },
    TIMEOUT_MS,
  );

  it.each(casesOf('ends').filter(({ axes }) => axes['batch'] === 32))(
    'allocates at most one byte per request: $id',
    async (one) => {
      const [measured] = await measureRounds([taskOf(one)]);
      expect(measured!.collections).toBe(0);
      expect(measured!.bytesPerRequest).toBeLessThanOrEqual(1);
      expect(measured!.nanoseconds).toHaveLength(AMOUNT.samples);
      expect(measured!.peerNanoseconds).toHaveLength(AMOUNT.samples);
    },
    TIMEOUT_MS,
  );

  // Two ends are enough: both layouts tell the same recorder.
  it.each(
    casesOf('recorder').filter(
      ({ axes }) => axes['recorder'] === 'flight' && (axes['layout'] === 'split' ? 'driver' : 'device') === axes['end'],
    ),
  )(
    'allocates nothing for an event of a flight recorder: $id',
    async (one) => {
      const [measured] = await measureRounds([taskOf(one)]);
      expect(measured!.collections).toBe(0);
      // A clock gives a number of 16 bytes, and is read once for 256 records where nothing slow happens.
      expect(measured!.bytesPerRequest).toBeLessThanOrEqual(1 + 0.5);
    },
    TIMEOUT_MS,
  );

  it.each(casesOf('threads'))(
    'allocates at most one byte per request between two threads: $id',
    async (one) => {
      const [measured] = await measureRounds([taskOf(one)]);
      expect(measured!.collections).toBe(0);
      expect(measured!.bytesPerRequest).toBeLessThanOrEqual(1);
      expect(measured!.nanoseconds).toHaveLength(AMOUNT.samples);
      expect(measured!.peerNanoseconds).toEqual([]);
    },
    TIMEOUT_MS,
  );
});

describe('measureHeapGrowth', () => {
  it(
    'sees one small object per request',
    () => {
      const program = fileURLToPath(new URL('./allocating-process.ts', import.meta.url));
      const source = ['--import=tsx', '--conditions=@virtio-platform/source'];
      const printed = execFileSync(process.execPath, [...HEAP_FLAGS, ...source, program], { encoding: 'utf8' });
      const { perRequest, collections }: { perRequest: number; collections: number } = JSON.parse(printed);
      expect(collections).toBe(0);
      expect(perRequest).toBeGreaterThan(8);
    },
    TIMEOUT_MS,
  );
});
