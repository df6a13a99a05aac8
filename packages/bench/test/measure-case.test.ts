import {
  benchParts,
  measureCase,
  OURS,
  spreadOf,
  StorageDaemon,
  type BenchCase,
  type BenchSettings,
} from '@virtio-platform/bench';
import { describe, expect, it } from 'vitest';
import { coresOf } from '../src/processes/pinned-core.ts';
import { percentilesOf } from '../src/measured/samples.ts';

const SETTINGS: BenchSettings = { processes: 2, requests: 500, samples: 3, seconds: 0.05, raisesBudget: true };
const PLACES = { settings: SETTINGS, reference: undefined, cores: [], signal: undefined };
const TIMEOUT_MS = 60_000;

function caseOf(id: string): BenchCase {
  return benchParts()
    .flatMap(({ cases }) => cases)
    .find((one) => one.id === id)!;
}

describe('benchParts', () => {
  it('has each case once, beginning with ours, with a baseline that is measured before it', () => {
    const ids: string[] = [];
    for (const { name, cases } of benchParts('main.js')) {
      for (const { id, part, subjects, baseline } of cases) {
        expect(id.startsWith(`${name}/`)).toBe(true);
        expect(part).toBe(name);
        expect(subjects[0]!.name).toBe(OURS);
        if (baseline !== undefined) expect(ids).toContain(baseline);
        ids.push(id);
      }
    }
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.length).toBeGreaterThan(100);
  });
});

describe('measureCase', () => {
  it.skipIf(StorageDaemon.missing !== undefined && process.env['CI'] === undefined)(
    'starts a back-end for each process (needs qemu-storage-daemon: apt-get install qemu-system-common)',
    async () => {
      const result = await measureCase({ unit: 'ns/request' }, caseOf('back-end/null/depth-8'), PLACES);
      expect(result.figures).toHaveLength(1);
      expect(result.figures[0]!.processes).toHaveLength(2);
      expect(result.figures[0]!.best).toBeGreaterThan(0);
    },
    TIMEOUT_MS,
  );

  it(
    'measures a process in each turn, and leaves C out where there is no compiler',
    async () => {
      const result = await measureCase(
        { unit: 'ns/request' },
        caseOf('ends/split/driver/3-descriptors/batch-1'),
        PLACES,
      );
      expect(result).toMatchObject({ part: 'ends', unit: 'ns/request', baseline: null, times: null, pauses: null });
      expect(result.axes).toEqual({ layout: 'split', end: 'driver', descriptors: 3, batch: 1 });
      const [own, ...others] = result.figures;
      expect(others).toEqual([]);
      expect(own).toMatchObject({ subject: OURS, ratio: 1 });
      expect(own!.processes).toHaveLength(2);
      expect(own!.best).toBe(Math.min(...own!.processes));
      expect(own!.percentiles!.p50).toBeGreaterThanOrEqual(own!.best);
    },
    TIMEOUT_MS,
  );

  it(
    'counts what takes longer than a millisecond where each request is timed',
    async () => {
      const { figures, pauses } = await measureCase({ unit: 'ns/request' }, caseOf('latency/sev/split'), PLACES);
      const { p50, p90, p99, p999, max } = figures[0]!.percentiles!;
      expect([p50, p90, p99, p999, max]).toEqual([p50, p90, p99, p999, max].toSorted((a, b) => a - b));
      expect(p50).toBeGreaterThan(0);
      expect(pauses!.requests).toBeGreaterThanOrEqual(2000);
      expect(pauses!.aboveMillisecond).toBeLessThanOrEqual(pauses!.requests);
      expect(max > 1e6).toBe(pauses!.aboveMillisecond > 0);
    },
    TIMEOUT_MS,
  );

  it(
    'measures mappings, copies and queues of any number',
    async () => {
      const ids = ['copies/sev/4-KiB/to-driver', 'live/pseries-dynamic/100', 'queues/packed/4', 'sizes/split/16'];
      for (const id of ids) {
        const { figures } = await measureCase({ unit: 'ns/request' }, caseOf(id), PLACES);
        expect(figures[0]!.best, id).toBeGreaterThan(0);
      }
    },
    TIMEOUT_MS,
  );

  it('says which process failed, and how to see all of it', async () => {
    const task = {
      kind: 'loop',
      platform: 'none',
      layout: 'split',
      premapped: true,
      indirect: false,
      batch: 1,
    } as const;
    const broken: BenchCase = { id: 'x/y', part: 'x', axes: {}, subjects: [{ name: OURS, kind: 'task', task }] };
    await expect(measureCase({ unit: 'ns/request' }, broken, PLACES)).rejects.toMatchObject({
      code: 'ERR_BENCH_PROCESS',
      message: 'a measured process failed: RangeError: no platform is named none',
      hint: expect.stringContaining('measure-worker.js'),
    });
  });

  it('ends what runs with the signal', async () => {
    const signal = AbortSignal.timeout(300);
    const settings = { ...SETTINGS, seconds: 100 };
    const measured = measureCase({ unit: 'ns/request' }, caseOf('latency/legacy/split'), {
      ...PLACES,
      settings,
      signal,
    });
    await expect(measured).rejects.toMatchObject({ name: 'TimeoutError' });
  });
});

describe('figures', () => {
  it('have the nearest rank as percentile', () => {
    const samples = Array.from({ length: 1000 }, (_, i) => 1000 - i);
    expect(percentilesOf(samples)).toEqual({ p50: 500, p90: 900, p99: 990, p999: 999, max: 1000 });
    expect(percentilesOf([7])).toEqual({ p50: 7, p90: 7, p99: 7, p999: 7, max: 7 });
  });

  it('have what lies between the best and the worst process as noise', () => {
    expect(spreadOf([12, 10, 11])).toBeCloseTo(0.2);
    expect(spreadOf([10])).toBe(0);
  });

  it('are of the cores that the process may run on', () => {
    expect(coresOf('0-3,8')).toEqual([0, 1, 2, 3, 8]);
    expect(coresOf(' 5\n')).toEqual([5]);
    expect(coresOf('none')).toEqual([]);
  });
});
