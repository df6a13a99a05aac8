import { FIRST_POSITION, slotOf, type OutstandingBuffer } from '@virtio-platform/core/queue';
import type { RingReport } from '../report/ring-report.ts';
import { count, describePlace, ringPlace, slotAt, type Diagnosis } from './diagnosis.ts';
import type { FailureEvidence } from './failure-evidence.ts';
import { takenBuffers } from './used-history.ts';

/** With IN_ORDER the driver cannot tell a buffer that was left out from one that was returned with a later one. */
const IN_ORDER_NOTE =
  'with IN_ORDER a used element returns every buffer before its own: a buffer that the device left out earlier shows here';

/** Explains why a device that has buffers returns none, by the first reason that the rings and the events support. */
export function diagnoseStall(
  evidence: FailureEvidence,
): { readonly ring: RingReport; readonly diagnosis: Diagnosis } | undefined {
  const waiting = evidence.rings.filter(({ outstanding, publications }) => {
    const { wanted, suppressed } = publications;
    return outstanding.length > 0 && wanted + suppressed > 0;
  });
  const reasons = [astray, skipped, waitsInAnotherLap, suppressed, untouched];
  for (const reason of reasons) {
    for (const ring of waiting) {
      const diagnosis = reason(ring, evidence);
      if (diagnosis !== undefined) return { ring, diagnosis };
    }
  }
  const [ring] = waiting.toSorted((one, other) => other.outstandingCount - one.outstandingCount);
  return ring && { ring, diagnosis: stopped(ring, evidence) };
}

/** The place of a buffer that the device has: where the driver made it available. */
function buffer(ring: RingReport, { id, position }: OutstandingBuffer): Pick<Diagnosis, 'where' | 'place'> {
  const place = ringPlace(ring, { buffer: id, slot: position < 0 ? null : slotAt(ring, position), position });
  const { queue, layout } = ring;
  if (position < 0) return { where: `queue ${queue}, buffer ${id}`, place };
  const made =
    layout === 'split' ? `available slot ${place.slot} (available index ${position})` : slotWithWrap(position);
  return { where: `queue ${queue}, buffer ${id}, ${made}`, place };
}

function slotWithWrap(position: number): string {
  return `slot ${slotOf(position)} (wrap counter ${position >>> 15})`;
}

/** Used descriptors of a packed ring where they do not belong. */
function astray(ring: RingReport): Diagnosis | undefined {
  const { usedAstray, driver, queue, usedElements, size } = ring;
  if (usedAstray === undefined) return undefined;
  const slot = slotOf(driver.taken);
  const wrap = driver.taken >>> 15;
  if (usedAstray === 'wrong-wrap') {
    const element = usedElements[0];
    const place = ringPlace(ring, { slot, position: driver.taken, buffer: element?.id ?? null });
    const isFirst = slot === 0 || (ring.driver.taken & 0x7fff) < largestChain(ring);
    return {
      what: `the device marked slot ${slot} of queue ${queue} used with wrap counter ${1 - wrap}; this lap has ${wrap}`,
      where: describePlace(ring, place),
      place,
      notes: [
        ...(isFirst
          ? [`the lap began at slot 0: behind slot ${size - 1} the device inverts its wrap counter (2.8.1)`]
          : []),
        `AVAIL and USED of a used descriptor are both the wrap counter of the device, ${wrap} here (2.8.1)`,
      ],
      next: 'look where the device inverts its wrap counter for used descriptors',
    };
  }
  const element = usedElements.find((candidate) => candidate.slot === usedAstray);
  const place = ringPlace(ring, { slot, position: driver.taken, buffer: element?.id ?? null });
  return {
    what: `the device used slot ${usedAstray} of queue ${queue} and left out slot ${slot}, which comes first`,
    where: `queue ${queue}, slot ${slot} (wrap counter ${wrap})${element === undefined ? '' : `; slot ${usedAstray} returns buffer ${element.id}`}`,
    place,
    notes: [
      'the device is ahead of the driver: it wrote a used descriptor twice, or skipped slots, just before (2.8.6)',
    ],
    next: 'look how far the device advances its used position for each buffer',
  };
}

/** Slots of the longest buffer that the device has. */
function largestChain({ outstanding }: RingReport): number {
  return Math.max(1, ...outstanding.map(({ isIndirect, segments }) => (isIndirect ? 1 : segments)));
}

/** The device returned buffers that were added after the oldest one that it still has. */
function skipped(ring: RingReport): Diagnosis | undefined {
  const { outstanding, outstandingCount, queue } = ring;
  const oldest = outstanding[0]!;
  const later = oldest.age - (outstandingCount - 1);
  if (later <= 0) return undefined;
  const others = outstanding.filter(({ age }, at) => at > 0 && age - (outstandingCount - 1 - at) > 0).length;
  return {
    what: `the device left out buffer ${oldest.id} of queue ${queue} and returned ${count(later, 'later one')}`,
    ...buffer(ring, oldest),
    notes:
      others === 0
        ? []
        : [`${count(others, 'other buffer')} of the queue ${others === 1 ? 'is' : 'are'} overtaken in the same way`],
    next: `look for a path on which the device takes a request and does not use its buffer`,
  };
}

/** A device of a packed ring that says where it waits, with the wrap counter of another lap. */
function waitsInAnotherLap(ring: RingReport, evidence: FailureEvidence): Diagnosis | undefined {
  const { layout, outstanding, deviceEvent, eventIdx, size, queue } = ring;
  const oldest = outstanding[0]!;
  if (layout !== 'packed' || oldest.position < 0) return undefined;
  const slot = slotOf(oldest.position);
  const wrap = oldest.position >>> 15;
  const place = buffer(ring, oldest);
  const next = 'look where the device inverts its wrap counter for available descriptors';
  const rule = `behind slot ${size - 1} both ends invert their wrap counters (2.8.1)`;
  if (eventIdx && deviceEvent.flags === 2 && deviceEvent.position === (oldest.position ^ 0x8000)) {
    const what = `the device waits at slot ${slot} of queue ${queue} with wrap counter ${1 - wrap}; this lap has ${wrap}`;
    const event = `its event suppression structure asks for slot ${slot}, wrap counter ${1 - wrap}`;
    return { what, ...place, notes: [event, rule], next };
  }
  // Without that field the place is all there is: the end of a lap, with everything before it returned.
  if (slot !== 0 || takenBuffers(evidence, ring).length === 0) return undefined;
  const what = `the device returned every buffer up to slot ${size - 1} of queue ${queue}, and none from slot 0 on`;
  return { what, ...place, notes: [`the wrap counter is ${wrap} from there on: ${rule}`], next };
}

/** The device asked for no notification, and does not look at the ring by itself. */
function suppressed(ring: RingReport, { events }: FailureEvidence): Diagnosis | undefined {
  const { queue, outstanding, outstandingCount, publications } = ring;
  const oldest = outstanding[0]!;
  const of = (kind: string): number =>
    events.findLast((event) => event.kind === kind && event.queue === queue)?.index ?? -1;
  const added = events.findLast(
    (event) => event.kind === 'add' && event.queue === queue && event.id === oldest.id,
  )?.index;
  const isNotified =
    publications.suppressed === 0 || (added === undefined ? publications.wanted > 0 : of('notify') > added);
  if (isNotified) return undefined;
  const what = `the device asked for no notification of the ${count(outstandingCount, 'buffer')} that it has in queue ${queue}`;
  return {
    what,
    ...buffer(ring, oldest),
    notes: [describeSuppression(ring)],
    next: 'let the device update that field before it waits, and look at the ring once more (2.7.10.1, 2.8.10)',
  };
}

/** What the device wrote for the driver to read before it notifies. */
function describeSuppression({ layout, eventIdx, deviceEvent, driver, outstanding }: RingReport): string {
  const [oldest] = outstanding;
  const { flags, position } = deviceEvent;
  if (layout === 'split') {
    if (!eventIdx) return `used.flags is ${flags}: the driver is not to notify (VIRTQ_USED_F_NO_NOTIFY)`;
    const made = `what the device has is ${oldest!.position} to ${(driver.available - 1) & 0xffff}`;
    return `avail_event is ${position}: a notification is due when the driver makes index ${position} available; ${made}`;
  }
  if (flags === 1) return 'the device event suppression structure is disabled (flags 1): the driver is not to notify';
  return `the device event suppression structure asks for ${slotWithWrap(position)}, flags ${flags}; the driver made buffers available from ${slotWithWrap(oldest!.position)} on`;
}

/** The device was notified and returned nothing at all. */
function untouched(ring: RingReport): Diagnosis | undefined {
  const { layout, driver, publications, queue, outstanding, outstandingCount } = ring;
  if (driver.taken !== (layout === 'split' ? 0 : FIRST_POSITION) || publications.wanted === 0) return undefined;
  return {
    what: `the device was notified of queue ${queue} and used no buffer of it: it has ${outstandingCount}`,
    ...buffer(ring, outstanding[0]!),
    notes: [],
    next: 'look whether the device handles the notification of that queue, and whether it was enabled',
  };
}

/** The device returned buffers in order, and then no more. */
function stopped(ring: RingReport, evidence: FailureEvidence): Diagnosis {
  const { queue, outstanding, outstandingCount } = ring;
  const oldest = outstanding[0]!;
  const last = takenBuffers(evidence, ring).at(-1);
  const after = last === undefined ? '' : ` after buffer ${last.id}`;
  return {
    what: `the device returned no buffer of queue ${queue}${after}: it has ${outstandingCount}, buffer ${oldest.id} first`,
    ...buffer(ring, oldest),
    notes: ring.inOrder ? [IN_ORDER_NOTE] : [],
    next: `look what the device does with buffer ${oldest.id}`,
  };
}
