import { OURS, type BenchCase, type BenchPart } from '../bench-case.ts';
import { DEPTH, LAYOUTS } from '../measured/ring-shape.ts';
import { ringReferences } from './ring-cases.ts';

const SIZES = [16, 64, 256, 1024, 4096, 32_768] as const;
/** Of three descriptors each, in the smallest queue. */
const SMALL_BATCH = 4;

/** Both ends over the size of the ring. */
export const SIZES_PART: BenchPart = {
  name: 'sizes',
  title: `Both ends in one thread over the entries of the queue, three descriptors, ${SMALL_BATCH} requests at once.`,
  unit: 'ns/request',
  curve: 'size',
  cases: LAYOUTS.flatMap((layout) =>
    SIZES.map((size): BenchCase => {
      const loop = { kind: 'loop', platform: 'legacy', layout, premapped: true, indirect: false, size } as const;
      const shape = { mode: 'both', layout, descriptors: 3, batch: SMALL_BATCH, size } as const;
      return {
        id: `sizes/${layout}/${size}`,
        part: 'sizes',
        axes: { layout, size },
        subjects: [{ name: OURS, kind: 'task', task: { ...loop, batch: SMALL_BATCH } }, ...ringReferences(shape)],
      };
    }),
  ),
};

const LIVE = [1, 100, 10_000, 100_000] as const;
/** Those that allow so many: without a table, and with one that is programmed for each. */
const LIVE_PLATFORMS = ['legacy', 'pseries-dynamic', 'intel-iommu'] as const;

/** A mapping over how many others are live. */
export const LIVE_PART: BenchPart = {
  name: 'live',
  title: 'Unmapping a page and mapping another one, at random, while many others are mapped.',
  unit: 'ns/mapping',
  curve: 'live',
  cases: LIVE_PLATFORMS.flatMap((platform) =>
    LIVE.map((live): BenchCase => ({
      id: `live/${platform}/${live}`,
      part: 'live',
      axes: { platform, live },
      subjects: [{ name: OURS, kind: 'task', task: { kind: 'live', platform, live } }],
    })),
  ),
};

const MIB = 1024 * 1024;
const MEMORIES_MIB = [16, 256, 1024, 2048] as const;

/** Both ends over the size of guest memory. */
export const MEMORY_PART: BenchPart = {
  name: 'memory',
  title: 'Both ends in one thread over the MiB of guest memory, with ring and buffers at its end.',
  unit: 'ns/request',
  curve: 'mebibytes',
  cases: LAYOUTS.flatMap((layout) =>
    MEMORIES_MIB.map((mebibytes): BenchCase => {
      const loop = { kind: 'loop', platform: 'legacy', layout, premapped: true, indirect: false } as const;
      return {
        id: `memory/${layout}/${mebibytes}-MiB`,
        part: 'memory',
        axes: { layout, mebibytes },
        subjects: [{ name: OURS, kind: 'task', task: { ...loop, batch: DEPTH, memoryBytes: mebibytes * MIB } }],
      };
    }),
  ),
};

const QUEUES = [1, 4, 16, 64] as const;

/** Both ends over the number of queues. */
export const QUEUES_PART: BenchPart = {
  name: 'queues',
  title: `Both ends in one thread over the number of queues, each in turn with ${DEPTH} requests at once.`,
  unit: 'ns/request',
  curve: 'queues',
  cases: LAYOUTS.flatMap((layout) =>
    QUEUES.map((queues): BenchCase => {
      const loop = { kind: 'loop', platform: 'legacy', layout, premapped: true, indirect: false } as const;
      return {
        id: `queues/${layout}/${queues}`,
        part: 'queues',
        axes: { layout, queues },
        subjects: [{ name: OURS, kind: 'task', task: { ...loop, batch: DEPTH, queues, memoryBytes: 16 * MIB } }],
      };
    }),
  ),
};
