import { slotOf } from '@virtio-platform/core/queue';
import type { RingReport } from '@virtio-platform/runner';
import type { ReportedRun } from '../reported-run.ts';
import { explainedFailures } from './explained-failure.ts';

/** A buffer that the device has, with the slots of the ring that it takes. */
export interface RingBuffer {
  readonly id: number;
  readonly slot: number;
  readonly slots: number;
}

/** One ring as the page shows it. Positions are slots. */
export interface RingView {
  readonly queue: number;
  readonly layout: 'split' | 'packed';
  readonly size: number;
  /** When the ring was so. */
  readonly moment: string;
  /** Where the driver makes the next buffer available, and where it looks for the next used one. */
  readonly available: number;
  readonly taken: number;
  /** The positions as the ring has them: indices of 16 bits, or slot and wrap counter. */
  readonly availableText: string;
  readonly takenText: string;
  /** Up to where the device used buffers; `undefined` in a packed ring, and where it is not known. */
  readonly used: number | undefined;
  readonly outstandingCount: number;
  /** Those of them whose slots are known. */
  readonly outstanding: readonly RingBuffer[];
  /** The slot that is wrong, and why. */
  readonly broken: { readonly slot: number; readonly why: string } | undefined;
}

/** The most rings of a run that the page shows. */
const MOST_RINGS = 4;

/** The rings of a run: as both ends left them where it failed, and else as the driver's events tell. */
export function ringViews(run: ReportedRun): readonly RingView[] {
  const { failure } = run.report;
  if (failure !== null && failure.rings.length > 0) {
    const active = failure.rings.filter(({ publications }) => publications.wanted + publications.suppressed > 0);
    return (active.length > 0 ? active : failure.rings).slice(0, MOST_RINGS).map((ring) => inspectedRing(ring, run));
  }
  return recordedRings(run).slice(0, MOST_RINGS);
}

function inspectedRing(ring: RingReport, run: ReportedRun): RingView {
  const { queue, layout, size, driver, used, outstandingCount } = ring;
  const slot = (position: number): number => (layout === 'split' ? position % size : slotOf(position));
  const outstanding = placesOf(ring, run);
  return {
    queue,
    layout,
    size,
    moment: 'when the run failed',
    available: slot(driver.available),
    taken: slot(driver.taken),
    availableText: positionText(layout, driver.available),
    takenText: positionText(layout, driver.taken),
    used: used === undefined ? undefined : slot(used),
    outstandingCount,
    outstanding,
    broken: brokenSlot(ring, slot(driver.taken), outstanding, run),
  };
}

/** `avail.idx 12` of a split ring; slot and wrap counter of a packed one. */
function positionText(layout: RingView['layout'], position: number): string {
  return layout === 'split' ? String(position) : `slot ${slotOf(position)}, wrap ${position >>> 15}`;
}

/** The slots of the buffers that a device still has: as recorded, and in a split ring by their age too. */
function placesOf({ queue, layout, size, driver, outstanding }: RingReport, { recording }: ReportedRun): RingBuffer[] {
  const open = new Map<number, RingBuffer>();
  for (const { queue: of, id, index, taken } of recording?.slices ?? []) {
    const place = recording?.places.get(index);
    if (of === queue && taken === null && place !== undefined) open.set(id, { id, ...place });
  }
  return outstanding.flatMap(({ id, age }) => {
    const recorded = open.get(id);
    if (recorded !== undefined) return [recorded];
    return layout === 'split' ? [{ id, slot: (((driver.available - 1 - age) % size) + size) % size, slots: 1 }] : [];
  });
}

/** Where the ring is wrong: only what its fields and the failure show. */
function brokenSlot(
  { queue, usedAstray, outstandingCount }: RingReport,
  next: number,
  outstanding: readonly RingBuffer[],
  { report }: ReportedRun,
): RingView['broken'] {
  const place = explainedFailures(report).find((each) => each.place.queue === queue)?.place;
  if (typeof place?.slot === 'number') return { slot: place.slot, why: 'where the failure is' };
  if (typeof usedAstray === 'number') return { slot: usedAstray, why: `used, although slot ${next} comes first` };
  if (usedAstray === 'wrong-wrap') return { slot: next, why: 'marked used with the wrong wrap counter' };
  if (report.failure?.code === 'ERR_QUEUE_BROKEN') return { slot: next, why: 'the driver refused the used entry here' };
  const [oldest] = outstanding;
  if (outstandingCount === 0 || oldest === undefined) return undefined;
  return { slot: oldest.slot, why: `buffer ${oldest.id}, the oldest that the device has not given back` };
}

/** What a queue's events tell, up to the last one. */
interface RecordedQueue {
  size: number;
  available: number | undefined;
  taken: number | undefined;
}

function recordedRings({ recording, report }: ReportedRun): RingView[] {
  if (recording === undefined || report.queue === null) return [];
  const { layout } = report.queue;
  const queues = new Map<number, RecordedQueue>();
  for (const { kind, queue, extra } of recording.events) {
    if (kind === 'enableQueue') queues.set(queue, { size: extra, available: undefined, taken: undefined });
    const state = queues.get(queue);
    if (state === undefined) continue;
    if (kind === 'publish') state.available = extra;
    else if (kind === 'takeUsed') state.taken = extra;
  }
  return [...queues].flatMap(([queue, { size, available, taken }]) => {
    if (available === undefined) return [];
    const slot = (position: number): number => (layout === 'split' ? position % size : slotOf(position));
    const open = recording.slices.filter((slice) => slice.queue === queue && slice.taken === null);
    const outstanding = open.flatMap(({ id, index }) => {
      const place = recording.places.get(index);
      return place === undefined ? [] : [{ id, ...place }];
    });
    const [next, isTaken] = [taken ?? 0, taken !== undefined];
    return [
      {
        queue,
        layout,
        size,
        moment: 'at the end of the run',
        available: slot(available),
        taken: slot(next),
        availableText: positionText(layout, available),
        takenText: isTaken ? positionText(layout, next) : 'nothing yet',
        used: undefined,
        outstandingCount: open.length,
        outstanding,
        broken: undefined,
      },
    ];
  });
}
