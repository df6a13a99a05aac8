import 'reflect-metadata';
import { measureRounds, type RoundsMeasurement } from './measure-rounds.ts';
import { openRingEnd, type RingEndOptions } from './ring-end.ts';

/** What one process measured of one end. It prints this as JSON. */
export interface RingEndMeasurement extends RingEndOptions, RoundsMeasurement {
  /** Nanoseconds that the loop at the other end takes alone, of each sample; part of `nanosecondsPerRequest`. */
  readonly peerNanosecondsPerRequest: readonly number[];
}

const [options = '', requests, samples] = process.argv.slice(2);
const which: RingEndOptions = JSON.parse(options);
const end = openRingEnd(which);
const measured = await measureRounds(() => end.round(), Number(requests), Number(samples));
// Last: it leaves a ring that the end could not go on with.
const alone = await measureRounds(() => end.peer.turn(), Number(requests), Number(samples));
const measurement: RingEndMeasurement = {
  ...which,
  ...measured,
  peerNanosecondsPerRequest: alone.nanosecondsPerRequest,
};
process.stdout.write(JSON.stringify(measurement));
