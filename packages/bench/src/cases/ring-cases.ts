import type { QueueLayout } from '@virtio-platform/core/queue';
import { C_CHECKED, C_UNCHECKED, OURS, type BenchCase, type BenchPart, type BenchSubject } from '../bench-case.ts';
import { DEPTH, DESCRIPTOR_COUNTS, LAYOUTS, QUEUE_SIZE, type DescriptorCount } from '../measured/ring-shape.ts';
import type { RingEndTask } from '../measured/measure-task.ts';

const ENDS = ['driver', 'device'] as const;
const BATCHES = [1, DEPTH] as const;

/** What a reference in C is told. */
interface ReferenceShape {
  readonly mode: 'driver' | 'device' | 'both' | 'threads';
  readonly layout: QueueLayout;
  readonly descriptors: DescriptorCount;
  readonly batch: number;
  readonly size?: number;
  readonly indirect?: boolean;
}

/** The same ring in C: with every check, and with none. */
export function ringReferences(shape: ReferenceShape): readonly BenchSubject[] {
  const { mode, layout, descriptors, batch, size = QUEUE_SIZE, indirect = false } = shape;
  const parameters = [mode, `${size}`, `${batch}`, `${descriptors}`, indirect ? '1' : '0'];
  return [true, false].map((isChecked) => ({
    name: isChecked ? C_CHECKED : C_UNCHECKED,
    kind: 'reference',
    program: { name: layout, isChecked },
    parameters,
  }));
}

/** `1-descriptor`, `3-descriptors`. */
function descriptorsText(descriptors: DescriptorCount): string {
  return descriptors === 1 ? '1-descriptor' : `${descriptors}-descriptors`;
}

function endCase(
  layout: QueueLayout,
  end: 'driver' | 'device',
  descriptors: DescriptorCount,
  batch: number,
): BenchCase {
  const task: RingEndTask = { kind: 'end', layout, end, descriptors, batch };
  return {
    id: `ends/${layout}/${end}/${descriptorsText(descriptors)}/batch-${batch}`,
    part: 'ends',
    axes: { layout, end, descriptors, batch },
    subjects: [{ name: OURS, kind: 'task', task }, ...ringReferences({ mode: end, layout, descriptors, batch })],
  };
}

/** One end at a time. */
export const ENDS_PART: BenchPart = {
  name: 'ends',
  title: 'One end of the ring, without the loop that plays the other end.',
  unit: 'ns/request',
  cases: LAYOUTS.flatMap((layout) =>
    ENDS.flatMap((end) =>
      DESCRIPTOR_COUNTS.flatMap((descriptors) => BATCHES.map((batch) => endCase(layout, end, descriptors, batch))),
    ),
  ),
};

/** A ring between two threads that poll. */
export const THREADS_PART: BenchPart = {
  name: 'threads',
  title: `Both ends, in two threads that poll, ${DEPTH} requests in flight.`,
  unit: 'ns/request',
  cases: LAYOUTS.flatMap((layout) =>
    DESCRIPTOR_COUNTS.map((descriptors): BenchCase => {
      const shape = { mode: 'threads', layout, descriptors, batch: DEPTH } as const;
      return {
        id: `threads/${layout}/${descriptorsText(descriptors)}`,
        part: 'threads',
        axes: { layout, descriptors },
        subjects: [
          { name: OURS, kind: 'task', task: { kind: 'threads', layout, descriptors } },
          ...ringReferences(shape),
        ],
      };
    }),
  ),
};

/** What records an end, beginning with the one that the others are compared with. */
const RECORDERS = ['none', 'flight', 'full'] as const;

/** Each end as it is recorded. */
export const RECORDER_PART: BenchPart = {
  name: 'recorder',
  base: 'the same end without a recorder',
  title: 'One end of the ring, three descriptors: not recorded, by the flight recorder of every run, by `run --trace`.',
  unit: 'ns/request',
  cases: LAYOUTS.flatMap((layout) =>
    ENDS.flatMap((end) =>
      RECORDERS.map((recorder): BenchCase => {
        const unrecorded: RingEndTask = { kind: 'end', layout, end, descriptors: 3, batch: DEPTH };
        const task = recorder === 'none' ? unrecorded : { ...unrecorded, recorder };
        return {
          id: `recorder/${layout}/${end}/${recorder}`,
          part: 'recorder',
          axes: { layout, end, recorder },
          subjects: [{ name: OURS, kind: 'task', task }],
          ...(recorder !== 'none' && { baseline: `recorder/${layout}/${end}/none` }),
        };
      }),
    ),
  ),
};
