import type { QueueLayout } from '@virtio-platform/core/queue';
import { leastOf, type BenchSettings, type BenchTable } from '../bench-part.ts';
import type { CReference } from '../c-reference.ts';
import { measureRingEnd } from '../measure-in-process.ts';
import { RECORDED_ENDS, type RingEndOptions, type RingRecorder } from '../ring-end.ts';

/** How often each case is measured, in turn with the others: something else may want the core for a while. */
const TURNS = 3;
/** With fewer samples than this there is one turn: a trial. */
const FEW_SAMPLES = 10;

interface RecordedEnd {
  readonly layout: QueueLayout;
  readonly end: 'driver' | 'device';
  readonly recorder: RingRecorder;
  /** Best sample of all turns, less the best one of the loop at the other end. */
  readonly nanosecondsPerRequest: number;
  readonly bytesPerRequest: number;
  /** How many times the same end takes that is not recorded. */
  readonly ratio: number;
}

/** Each end without a recorder, with the flight recorder, and with all that a recorder can take. */
export function measureRecorder(_reference: CReference | undefined, settings: BenchSettings): BenchTable {
  const { requests, samples } = settings;
  const turns = Array.from({ length: samples < FEW_SAMPLES ? 1 : TURNS }, () =>
    RECORDED_ENDS.map((options) => measureRingEnd(options, requests, samples)),
  );
  const bestOf = (at: number): number => {
    const measured = turns.map((turn) => turn[at]!);
    const whole = measured.map(({ nanosecondsPerRequest }) => leastOf(nanosecondsPerRequest));
    return leastOf(whole) - leastOf(measured.map((end) => leastOf(end.peerNanosecondsPerRequest)));
  };
  const results = RECORDED_ENDS.map((options, at): RecordedEnd => {
    const { layout, end } = options;
    const best = bestOf(at);
    return {
      layout,
      end,
      recorder: options.recorder!,
      nanosecondsPerRequest: best,
      bytesPerRequest: leastOf(turns.map((turn) => turn[at]!.bytesPerRequest)),
      ratio: best / bestOf(RECORDED_ENDS.findIndex((other) => isPlain(other) && isSame(other, options))),
    };
  });
  return {
    heading:
      'One end of the ring as it is recorded, requests of three descriptors: best nanoseconds a request, without those of the loop at the other end.',
    columns: ['layout', 'end', 'recorder', 'best ns', 'bytes/request', 'times none'],
    named: 3,
    rows: results.map((row) => [
      row.layout,
      row.end,
      row.recorder,
      row.nanosecondsPerRequest.toFixed(1),
      row.bytesPerRequest.toFixed(2),
      row.ratio.toFixed(2),
    ]),
    results,
  };
}

function isPlain({ recorder }: RingEndOptions): boolean {
  return recorder === 'none';
}

function isSame(one: RingEndOptions, other: RingEndOptions): boolean {
  return one.layout === other.layout && one.end === other.end;
}
