import 'reflect-metadata';
import { measureHeapGrowth } from './heap-growth.ts';
import { RingLoop, type RingLoopOptions } from './ring-loop.ts';

/** What one process measured of one loop. It prints an array of these as JSON. */
export interface RingLoopMeasurement extends RingLoopOptions {
  readonly nanosecondsPerRequest: readonly number[];
  /** Heap growth over all samples. */
  readonly bytesPerRequest: number;
  /** Garbage collections during the samples. More than 0 make `bytesPerRequest` worthless. */
  readonly collections: number;
}

/** Enough for the compiler to have done its work before anything counts. */
const WARM_UP_REQUESTS = 100_000;
const BOTH = [false, true] as const;

async function measure(options: RingLoopOptions, requests: number, samples: number): Promise<RingLoopMeasurement> {
  const loop = new RingLoop(options);
  loop.run(WARM_UP_REQUESTS);
  const nanoseconds = new Float64Array(samples);
  let sent = 0;
  const growth = await measureHeapGrowth(() => {
    for (let i = 0; i < samples; i++) {
      const start = performance.now();
      const done = loop.run(requests);
      nanoseconds[i] = ((performance.now() - start) * 1e6) / done;
      sent += done;
    }
  });
  loop.mapping.dispose();
  return {
    ...options,
    nanosecondsPerRequest: [...nanoseconds],
    bytesPerRequest: growth.bytes / sent,
    collections: growth.collections,
  };
}

const [platform = '', requests, samples] = process.argv.slice(2);
const measurements: RingLoopMeasurement[] = [];
for (const premapped of BOTH) {
  for (const indirect of BOTH) {
    measurements.push(await measure({ platform, premapped, indirect }, Number(requests), Number(samples)));
  }
}
process.stdout.write(JSON.stringify(measurements));
