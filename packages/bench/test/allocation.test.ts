import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import {
  MEASURED_PLATFORMS,
  measureRingEnd,
  measureRingLoop,
  measureTwoThreads,
  RECORDED_ENDS,
  RING_ENDS,
  runMeasuring,
  TWO_THREADS,
} from '@virtio-platform/bench';

const TIMEOUT_MS = 60_000;
/**
 * Requests of a sample. The heap has up to five samples, whatever is asked for; the time needs no more than it takes to
 * see some.
 */
const REQUESTS = 50_000;
const SAMPLES = 2;

// Once more where other work kept the compiler from a core: a loop that allocates does so each time.
describe('the ring in its steady state', { retry: 1 }, () => {
  it.each([...MEASURED_PLATFORMS.keys()])(
    'allocates at most one byte per request under %s',
    (platform) => {
      const measurements = measureRingLoop(platform, REQUESTS, SAMPLES);
      expect(measurements).toHaveLength(8);
      for (const { layout, premapped, indirect, bytesPerRequest, collections } of measurements) {
        const loop = `${layout}, premapped ${premapped}, indirect ${indirect}`;
        expect(collections, loop).toBe(0);
        expect(bytesPerRequest, loop).toBeLessThanOrEqual(1);
      }
    },
    TIMEOUT_MS,
  );

  it.each(RING_ENDS)(
    'allocates at most one byte per request: $layout $end end, descriptors: $descriptors',
    (options) => {
      const measured = measureRingEnd(options, REQUESTS, SAMPLES);
      expect(measured).toMatchObject(options);
      expect(measured.collections).toBe(0);
      expect(measured.bytesPerRequest).toBeLessThanOrEqual(1);
      expect(measured.nanosecondsPerRequest).toHaveLength(SAMPLES);
      expect(measured.peerNanosecondsPerRequest).toHaveLength(SAMPLES);
    },
    TIMEOUT_MS,
  );

  // Two ends are enough: both layouts tell the same recorder.
  const flights = RECORDED_ENDS.filter(({ recorder }) => recorder === 'flight');
  it.each(flights.filter(({ layout, end }) => (layout === 'split') === (end === 'driver')))(
    'allocates nothing for an event of a flight recorder: $layout $end end',
    (options) => {
      const { bytesPerRequest, collections } = measureRingEnd(options, REQUESTS, SAMPLES);
      expect(collections).toBe(0);
      // A clock gives a number of 16 bytes, and is read once for 256 records where nothing slow happens.
      expect(bytesPerRequest).toBeLessThanOrEqual(1 + 0.5);
    },
    TIMEOUT_MS,
  );

  it.each(TWO_THREADS)(
    'allocates at most one byte per request between two threads: $layout, descriptors: $descriptors',
    (options) => {
      const measured = measureTwoThreads(options, REQUESTS, SAMPLES);
      expect(measured).toMatchObject(options);
      expect(measured.collections).toBe(0);
      expect(measured.bytesPerRequest).toBeLessThanOrEqual(1);
      expect(measured.nanosecondsPerRequest).toHaveLength(SAMPLES);
    },
    TIMEOUT_MS,
  );
});

describe('measureHeapGrowth', () => {
  it(
    'sees one small object per request',
    () => {
      const source = ['--import=tsx', '--conditions=@virtio-platform/source'];
      const printed = runMeasuring(fileURLToPath(new URL('./allocating-process.ts', import.meta.url)), [], source);
      const { perRequest, collections }: { perRequest: number; collections: number } = JSON.parse(printed);
      expect(collections).toBe(0);
      expect(perRequest).toBeGreaterThan(8);
    },
    TIMEOUT_MS,
  );
});
