import { formatRatio, medianOf, noiseOf, type BenchSettings, type BenchTable } from './bench-part.ts';
import type { CReference } from './c-reference.ts';
import { measureRingEnd } from './measure-in-process.ts';
import { RING_ENDS, type RingEndOptions } from './ring-end.ts';

interface EndResult extends RingEndOptions {
  /** Median of the end with the loop at the other one, less the median of that loop alone. */
  readonly nanosecondsPerRequest: number;
  readonly wholeNanosecondsPerRequest: number;
  readonly peerNanosecondsPerRequest: number;
  readonly noise: number;
  readonly bytesPerRequest: number;
  /** The same end in C, less its own loop; `undefined` without a C compiler. */
  readonly referenceNanosecondsPerRequest: number | undefined;
  readonly ratio: number | undefined;
}

/** One end at a time, the other one played by a loop; each case and its C counterpart one after the other. */
export function measureEnds(reference: CReference | undefined, { requests, samples }: BenchSettings): BenchTable {
  const results = RING_ENDS.map((options): EndResult => {
    const inC = reference?.measureEnd(options, requests, samples);
    const measured = measureRingEnd(options, requests, samples);
    const whole = medianOf(measured.nanosecondsPerRequest);
    const peer = medianOf(measured.peerNanosecondsPerRequest);
    const own = inC && medianOf(inC.whole) - medianOf(inC.peer);
    return {
      ...options,
      nanosecondsPerRequest: whole - peer,
      wholeNanosecondsPerRequest: whole,
      peerNanosecondsPerRequest: peer,
      noise: noiseOf(measured.nanosecondsPerRequest),
      bytesPerRequest: measured.bytesPerRequest,
      referenceNanosecondsPerRequest: own,
      ratio: own && (whole - peer) / own,
    };
  });
  return {
    heading:
      'One end of the ring, one thread: nanoseconds a request, without those of the loop that plays the other end.',
    columns: ['layout', 'end', 'descriptors', 'ns/request', 'noise', 'loop', 'bytes/request', 'C', 'times C'],
    named: 3,
    rows: results.map((row) => [
      row.layout,
      row.end,
      `${row.descriptors}`,
      row.nanosecondsPerRequest.toFixed(1),
      `${(row.noise * 100).toFixed(0)} %`,
      row.peerNanosecondsPerRequest.toFixed(1),
      row.bytesPerRequest.toFixed(2),
      row.referenceNanosecondsPerRequest?.toFixed(1) ?? '-',
      formatRatio(row.ratio),
    ]),
    results,
  };
}
