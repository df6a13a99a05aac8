import { C_UNCHECKED, OURS, type BenchCase, type BenchPart } from '../bench-case.ts';
import { MEASURED_PLATFORMS } from '../measured/measured-platforms.ts';
import { DEPTH, LAYOUTS } from '../measured/ring-shape.ts';
import { ringReferences } from './ring-cases.ts';

/** The platform without a table: what the others are compared with. */
const DIRECT = 'legacy';
const MAPPED = ['premapped', 'mapped'] as const;
const DESCRIBED = ['direct', 'indirect'] as const;

/** Both ends in one thread under each platform's mapping. */
export const MAPPINGS_PART: BenchPart = {
  name: 'mappings',
  base: 'legacy, premapped',
  title: 'Both ends in one thread, three segments a request, under each mapping.',
  unit: 'ns/request',
  cases: [...MEASURED_PLATFORMS.keys()].flatMap((platform) =>
    LAYOUTS.flatMap((layout) =>
      MAPPED.flatMap((buffers) => DESCRIBED.map((descriptors) => mappingCase(platform, layout, buffers, descriptors))),
    ),
  ),
};

function mappingCase(
  platform: string,
  layout: 'split' | 'packed',
  buffers: (typeof MAPPED)[number],
  descriptors: (typeof DESCRIBED)[number],
): BenchCase {
  const [premapped, indirect] = [buffers === 'premapped', descriptors === 'indirect'];
  const shape = { mode: 'both', layout, descriptors: 3, batch: DEPTH, indirect } as const;
  // In C nothing is mapped, whatever the platform: measured once.
  const isCompared = platform === DIRECT && premapped;
  return {
    id: `mappings/${platform}/${layout}/${buffers}/${descriptors}`,
    part: 'mappings',
    axes: { platform, layout, buffers, descriptors },
    subjects: [
      { name: OURS, kind: 'task', task: { kind: 'loop', platform, layout, premapped, indirect, batch: DEPTH } },
      ...(isCompared ? ringReferences(shape) : []),
    ],
    ...((platform !== DIRECT || !premapped) && {
      baseline: `mappings/${DIRECT}/${layout}/premapped/${descriptors}`,
    }),
  };
}

const KIB = 1024;
/** Where a raw copy by the engine is named in figures. */
const RAW_COPY = 'copyWithin';

/** What copying through a pool costs. */
export const COPIES_PART: BenchPart = {
  name: 'copies',
  title: 'Mapping and unmapping a buffer that is copied through a pool of shared memory (SEV).',
  unit: 'ns/copy',
  cases: [4 * KIB, 64 * KIB].flatMap((bytes) =>
    (['device', 'driver'] as const).map((to): BenchCase => ({
      id: `copies/sev/${bytes / KIB}-KiB/to-${to}`,
      part: 'copies',
      axes: { bytes, to },
      subjects: [
        { name: OURS, kind: 'task', task: { kind: 'bounce', platform: 'sev', bytes, to } },
        { name: RAW_COPY, kind: 'task', task: { kind: 'copy', bytes } },
        {
          name: C_UNCHECKED,
          kind: 'reference',
          program: { name: 'copy', isChecked: false },
          parameters: [`${bytes}`],
        },
      ],
    })),
  ),
};
