import { slotOf } from '@virtio-platform/core/queue';
import type { RingReport } from '../report/ring-report.ts';
import type { MissedNotification } from '../used-notifications.ts';
import { count, describePlace, ringPlace, slotAt, type Diagnosis } from './diagnosis.ts';
import type { FailureEvidence } from './failure-evidence.ts';
import { NO_PLACE } from './failure-explanation.ts';
import { takenBuffers } from './used-history.ts';

/** Explains a used buffer of which the device did not notify, by what the driver asked for in `ring`. */
export function diagnoseMissedNotification(
  { queue, completed, asked }: MissedNotification,
  ring: RingReport | undefined,
  evidence: FailureEvidence,
): Diagnosis {
  const after = `after ${count(completed, 'request')}`;
  const next = 'after each used buffer, compare the used index with what the driver asked for (2.7.7, 2.8.10)';
  if (queue === undefined || ring === undefined) {
    const what = 'the device used buffers of several queues and sent no notification';
    return { what, where: after, place: NO_PLACE, notes: [], next };
  }
  // The first buffer behind the position at which the driver asked for a notification: taken already, or still there.
  const enabled = evidence.events.findLast((event) => event.kind === 'enableNotifications' && event.queue === queue);
  const taken = takenBuffers(evidence, ring).find(({ event }) => enabled !== undefined && event.index > enabled.index);
  const element = ring.usedElements.find(({ position, state }) => state === 'used' && position === asked);
  const buffer = taken?.id ?? element?.id ?? null;
  const slot = slotAt(ring, asked);
  const place = ringPlace(ring, { buffer, slot, position: asked });
  return {
    what: `the device used ${buffer === null ? 'a buffer' : `buffer ${buffer}`} of queue ${queue} and sent no notification`,
    where: `${describePlace(ring, place)}, ${after}`,
    place,
    notes: [describeAsked(ring, asked), ...endOfRing(ring)],
    next,
  };
}

function describeAsked({ layout, eventIdx, used, driver }: RingReport, asked: number): string {
  if (layout === 'split') {
    const now = `used.idx is ${used}`;
    return eventIdx
      ? `used_event was ${asked}: a notification is due when used.idx passes ${asked}, and ${now} (2.7.7.2)`
      : `avail.flags was 0: a notification is due for each used buffer, and ${now} (2.7.7.2)`;
  }
  const wanted = eventIdx
    ? `slot ${slotOf(asked)}, wrap counter ${asked >>> 15} (flags 2)`
    : 'each used buffer (flags 0)';
  return `the driver event suppression structure asked for ${wanted}; the driver is at slot ${slotOf(driver.taken)} now`;
}

/** Whether the device used slots up to the end of a packed ring: where it compares, its wrap counter has changed. */
function endOfRing({ layout, usedElements, size }: RingReport): string[] {
  const isAtEnd = usedElements.some(({ slot, state }) => state === 'used' && slot === size - 1);
  if (layout !== 'packed' || !isAtEnd) return [];
  return [`the device used slots to the end of the ring: behind slot ${size - 1} it inverts its wrap counter (2.8.1)`];
}
