import 'reflect-metadata';
import { measureRounds, type RoundsMeasurement } from './measure-rounds.ts';
import { RingLoop, type RingLoopOptions } from './ring-loop.ts';
import { LAYOUTS } from './ring-shape.ts';

/** What one process measured of one loop. It prints an array of these as JSON. */
export interface RingLoopMeasurement extends RingLoopOptions, RoundsMeasurement {}

const BOTH = [false, true] as const;

const [platform = '', requests, samples] = process.argv.slice(2);
const measurements: RingLoopMeasurement[] = [];
for (const layout of LAYOUTS) {
  for (const premapped of BOTH) {
    for (const indirect of BOTH) {
      const options = { platform, layout, premapped, indirect };
      const loop = new RingLoop(options);
      const measured = await measureRounds(() => loop.round(), Number(requests), Number(samples));
      loop.mapping.dispose();
      measurements.push({ ...options, ...measured });
    }
  }
}
process.stdout.write(JSON.stringify(measurements));
