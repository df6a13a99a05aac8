import {
  FIRST_POSITION,
  slotOf,
  type BrokenReason,
  type RingInspection,
  type Virtqueue,
} from '@virtio-platform/core/queue';

/** The most outstanding buffers of a queue that a report lists. */
const MOST_LISTED = 64;

/** One queue as both ends left it when the run failed. */
export interface RingReport extends RingInspection {
  readonly queue: number;
  /** Entries. */
  readonly size: number;
  /** Why the queue is broken; `null` where it works. */
  readonly broken: BrokenReason | null;
  /** All buffers that the device has; `outstanding` lists the oldest 64 of them. */
  readonly outstandingCount: number;
  /** Publications of which the device wanted a notification, and of which it suppressed it. */
  readonly publications: { readonly wanted: number; readonly suppressed: number };
}

/** Reads the rings of these queues. */
export function inspectRings(queues: readonly Virtqueue[]): RingReport[] {
  return queues.map((queue) => {
    const inspection = queue.inspect();
    const { index, size, publications } = queue;
    const { length: outstandingCount } = inspection.outstanding;
    const outstanding = inspection.outstanding.slice(0, MOST_LISTED);
    const broken = queue.broken ?? null;
    return {
      queue: index,
      size,
      broken,
      outstandingCount,
      publications: { ...publications },
      ...inspection,
      outstanding,
    };
  });
}

/** One line for a ring: its positions on both sides, its event fields, and the buffers that the device has. */
export function describeRing(ring: RingReport): string {
  const { queue, layout, size, driver, used, eventIdx, driverEvent, deviceEvent } = ring;
  const isSplit = layout === 'split';
  const positions = isSplit
    ? `avail.idx ${driver.available}, used.idx ${used}, taken ${driver.taken}`
    : `available to ${describeSlot(driver.available)}, taken to ${describeSlot(driver.taken)}`;
  const events = eventIdx
    ? isSplit
      ? `used_event ${driverEvent.position}, avail_event ${deviceEvent.position}`
      : `driver event ${describeSlot(driverEvent.position)}, device event ${describeEvent(deviceEvent)}`
    : `driver flags ${driverEvent.flags}, device flags ${deviceEvent.flags}`;
  return `queue ${queue} (${layout}, ${size}): ${positions}; ${events}; ${describeOutstanding(ring)}`;
}

/** Why a device may have stalled, by its rings: the first reason that holds. */
export function explainStall(rings: readonly RingReport[]): string | undefined {
  const waiting = rings.filter(({ outstanding }) => outstanding.length > 0);
  const silent = waiting.find(({ publications }) => publications.wanted === 0 && publications.suppressed > 0);
  if (silent !== undefined) {
    const { queue, layout, eventIdx } = silent;
    const field = layout === 'split' ? (eventIdx ? 'avail_event' : 'used.flags') : 'its event suppression structure';
    return (
      `the device suppresses available buffer notifications of queue ${queue} by ${field}, so the driver sent none: ` +
      'does the device look at the ring?'
    );
  }
  const astray = waiting.find(({ usedAstray }) => usedAstray !== undefined);
  if (astray !== undefined) {
    const { queue, driver, usedAstray } = astray;
    const next = `slot ${slotOf(driver.taken)} of queue ${queue}`;
    return usedAstray === 'wrong-wrap'
      ? `the device marked ${next} used with the wrong wrap counter (2.8.1): it is ${driver.taken >>> 15} in this lap`
      : `the device marked slot ${usedAstray} used, and not ${next}, which comes first (2.8.5)`;
  }
  const skipped = waiting.find(hasSkipped);
  if (skipped !== undefined) {
    const { queue, outstanding } = skipped;
    return `the device used buffers that came after buffer ${outstanding[0]!.id} of queue ${queue}, and not that one`;
  }
  const untouched = waiting.find(
    ({ driver, publications, layout }) =>
      publications.wanted > 0 && driver.taken === (layout === 'split' ? 0 : FIRST_POSITION),
  );
  if (untouched !== undefined)
    return `the device was notified of queue ${untouched.queue} and used no buffer of it: does it handle the kick?`;
  return undefined;
}

/** Whether the device used a buffer that was added after the oldest one that it still has. */
function hasSkipped({ outstanding, outstandingCount }: RingReport): boolean {
  return outstanding[0]!.age >= outstandingCount;
}

function describeSlot(position: number): string {
  return `slot ${slotOf(position)} wrap ${position >>> 15}`;
}

function describeEvent({ flags, position }: { readonly flags: number; readonly position: number }): string {
  return flags === 2 ? describeSlot(position) : flags === 0 ? 'enabled' : 'disabled';
}

function describeOutstanding({ outstanding, outstandingCount }: RingReport): string {
  if (outstandingCount === 0) return 'no buffer is with the device';
  const ids = outstanding.slice(0, 8).map(({ id }) => id);
  const more = outstandingCount > ids.length ? ' …' : '';
  const noun = outstandingCount === 1 ? 'buffer' : 'buffers';
  return `${outstandingCount} with the device: ${noun} ${ids.join(', ')}${more}`;
}
