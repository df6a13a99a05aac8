import 'reflect-metadata';
import { measureHeapGrowth } from './heap-growth.ts';
import { RingLoop, type RingLoopOptions } from './ring-loop.ts';

/** What one process measured of one loop. It prints an array of these as JSON. */
export interface RingLoopMeasurement extends RingLoopOptions {
  readonly nanosecondsPerRequest: readonly number[];
  /** Heap growth of the sample that grew least: what every request costs, and not what the compiler needed once in a while. */
  readonly bytesPerRequest: number;
  /** Garbage collections during the samples. More than 0 make `bytesPerRequest` worthless. */
  readonly collections: number;
}

/** Enough for the compiler to have done its work before anything counts; a trial with few requests needs none. */
const WARM_UP_REQUESTS = 100_000;
const BOTH = [false, true] as const;

async function measure(options: RingLoopOptions, requests: number, samples: number): Promise<RingLoopMeasurement> {
  const loop = new RingLoop(options);
  loop.run(Math.min(WARM_UP_REQUESTS, 10 * requests));
  const nanoseconds: number[] = [];
  const bytes: number[] = [];
  let collections = 0;
  for (let i = 0; i < samples; i++) {
    let sent = 0;
    let started = 0;
    let ended = 0;
    const growth = await measureHeapGrowth(() => {
      started = performance.now();
      sent = loop.run(requests);
      ended = performance.now();
    });
    nanoseconds.push(((ended - started) * 1e6) / sent);
    bytes.push(growth.bytes / sent);
    collections += growth.collections;
  }
  loop.mapping.dispose();
  return { ...options, nanosecondsPerRequest: nanoseconds, bytesPerRequest: Math.min(...bytes), collections };
}

const [platform = '', requests, samples] = process.argv.slice(2);
const measurements: RingLoopMeasurement[] = [];
for (const layout of ['split', 'packed'] as const) {
  for (const premapped of BOTH) {
    for (const indirect of BOTH) {
      const options = { platform, layout, premapped, indirect };
      measurements.push(await measure(options, Number(requests), Number(samples)));
    }
  }
}
process.stdout.write(JSON.stringify(measurements));
