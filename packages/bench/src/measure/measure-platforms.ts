import type { QueueLayout } from '@virtio-platform/core/queue';
import { formatRatio, medianOf, type BenchSettings, type BenchTable } from '../bench-part.ts';
import type { CReference } from '../c-reference.ts';
import { measureRingLoop } from '../measure-in-process.ts';
import { MEASURED_PLATFORMS } from '../measured-platforms.ts';

interface PlatformResult {
  /** Whose mapping the queue uses. */
  readonly platform: string;
  readonly layout: QueueLayout;
  readonly buffers: 'mapped' | 'premapped';
  readonly descriptors: 'direct' | 'indirect';
  /** Median. */
  readonly nanosecondsPerRequest: number;
  readonly bytesPerRequest: number;
  /** How many times the C reference takes, which is a split ring; `undefined` without a C compiler. */
  readonly ratio: number | undefined;
}

/** Both ends in one thread, under each platform's mapping. */
export function measurePlatforms(reference: CReference | undefined, { requests, samples }: BenchSettings): BenchTable {
  const inC = {
    direct: reference && medianOf(reference.measureLoop(false, requests, samples)),
    indirect: reference && medianOf(reference.measureLoop(true, requests, samples)),
  };
  const results = [...MEASURED_PLATFORMS.keys()].flatMap((platform) =>
    measureRingLoop(platform, requests, samples).map((measured): PlatformResult => {
      const { layout, premapped, indirect, bytesPerRequest } = measured;
      const descriptors = indirect ? 'indirect' : 'direct';
      const median = medianOf(measured.nanosecondsPerRequest);
      const own = inC[descriptors];
      return {
        platform,
        layout,
        buffers: premapped ? 'premapped' : 'mapped',
        descriptors,
        nanosecondsPerRequest: median,
        bytesPerRequest,
        ratio: own && median / own,
      };
    }),
  );
  const rows = results.map((row) => [
    row.platform,
    row.layout,
    row.buffers,
    row.descriptors,
    row.nanosecondsPerRequest.toFixed(0),
    row.bytesPerRequest.toFixed(2),
    formatRatio(row.ratio),
  ]);
  for (const kind of ['direct', 'indirect'] as const)
    if (inC[kind] !== undefined) rows.push(['C', 'split', '-', kind, inC[kind].toFixed(0), '-', '1.0']);
  return {
    heading: 'Both ends of the ring in one thread, 3 segments a request, under each platform’s mapping.',
    columns: ['platform', 'layout', 'buffers', 'descriptors', 'ns/request', 'bytes/request', 'times C'],
    named: 4,
    rows,
    results,
  };
}
