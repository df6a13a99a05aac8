import { formatRatio, leastOf, medianOf, noiseOf, type BenchSettings, type BenchTable } from '../bench-part.ts';
import type { CReference } from '../c-reference.ts';
import { measureRingEnd } from '../measure-in-process.ts';
import { RING_ENDS, type RingEndOptions } from '../ring-end.ts';

interface EndResult extends RingEndOptions {
  /** Best sample of the end with the loop at the other one, less the best one of that loop alone. */
  readonly nanosecondsPerRequest: number;
  /** The same of medians. */
  readonly medianNanosecondsPerRequest: number;
  /** Best sample of the loop alone. */
  readonly peerNanosecondsPerRequest: number;
  readonly noise: number;
  readonly bytesPerRequest: number;
  /** Best of the same end in C, less its own loop; `undefined` without a C compiler. */
  readonly referenceNanosecondsPerRequest: number | undefined;
  readonly ratio: number | undefined;
}

/** One end at a time, the other one played by a loop; each case and its C counterpart one after the other. */
export function measureEnds(reference: CReference | undefined, { requests, samples }: BenchSettings): BenchTable {
  const results = RING_ENDS.map((options): EndResult => {
    const inC = reference?.measureEnd(options, requests, samples);
    const measured = measureRingEnd(options, requests, samples);
    const best = leastOf(measured.nanosecondsPerRequest) - leastOf(measured.peerNanosecondsPerRequest);
    const own = inC && leastOf(inC.whole) - leastOf(inC.peer);
    return {
      ...options,
      nanosecondsPerRequest: best,
      medianNanosecondsPerRequest:
        medianOf(measured.nanosecondsPerRequest) - medianOf(measured.peerNanosecondsPerRequest),
      peerNanosecondsPerRequest: leastOf(measured.peerNanosecondsPerRequest),
      noise: noiseOf(measured.nanosecondsPerRequest),
      bytesPerRequest: measured.bytesPerRequest,
      referenceNanosecondsPerRequest: own,
      ratio: own && best / own,
    };
  });
  return {
    heading:
      'One end of the ring, one thread: nanoseconds a request, without those of the loop that plays the other end; C and ratio of the best.',
    columns: ['layout', 'end', 'descriptors', 'best ns', 'median', 'noise', 'loop', 'bytes/request', 'C', 'times C'],
    named: 3,
    rows: results.map((row) => [
      row.layout,
      row.end,
      `${row.descriptors}`,
      row.nanosecondsPerRequest.toFixed(1),
      row.medianNanosecondsPerRequest.toFixed(1),
      `${(row.noise * 100).toFixed(0)} %`,
      row.peerNanosecondsPerRequest.toFixed(1),
      row.bytesPerRequest.toFixed(2),
      row.referenceNanosecondsPerRequest?.toFixed(1) ?? '-',
      formatRatio(row.ratio),
    ]),
    results,
  };
}
