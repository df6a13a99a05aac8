import { OURS, type BenchCase, type BenchPart } from '../bench-case.ts';
import { LAYOUTS } from '../measured/ring-shape.ts';

/** Without a table, with one that is programmed for each request, and with copies. */
const PLATFORMS = ['legacy', 'intel-iommu', 'sev'] as const;

/** Each request timed by itself. */
export const LATENCY_PART: BenchPart = {
  name: 'latency',
  title: 'Both ends in one thread, one request after the other, mapped for each request but on legacy; each is timed.',
  unit: 'ns/request',
  cases: PLATFORMS.flatMap((platform) =>
    LAYOUTS.map((layout): BenchCase => {
      const premapped = platform === 'legacy';
      return {
        id: `latency/${platform}/${layout}`,
        part: 'latency',
        axes: { platform, layout },
        subjects: [
          { name: OURS, kind: 'task', task: { kind: 'latency', platform, layout, premapped, indirect: false } },
        ],
      };
    }),
  ),
};
