import {
  VIRTQ_DESC_F_INDIRECT,
  VIRTQ_DESC_F_WRITE,
  type BufferInspection,
  type UsedElement,
} from '@virtio-platform/core/queue';
import type { RingReport } from '../report/ring-report.ts';
import { count, describePlace, ringPlace, slotAt, slots, type Diagnosis } from './diagnosis.ts';
import type { FailureEvidence } from './failure-evidence.ts';
import { lastReturn, takenBuffers, wasAdded } from './used-history.ts';

const ONE_ELEMENT = 'the device writes one used element for each buffer, then moves used.idx by one (2.7.8)';
const ONE_DESCRIPTOR =
  'the device writes one used descriptor for each buffer, and skips as many slots as it took (2.8.6)';

/** Explains why a queue is broken, by its used elements and by what the driver took back before. */
export function diagnoseBrokenQueue(evidence: FailureEvidence, ring: RingReport): Diagnosis {
  const { code, detail } = ring.broken!;
  const element = ring.usedElements.find(({ state }) => state === 'used');
  if (code === 'used-index-out-of-range' && ring.used !== undefined) return diagnoseIndex(evidence, ring, ring.used);
  if (element === undefined) return plain(ring, detail);
  if (code === 'used-id-out-of-range') return diagnoseUnknownId(ring, element);
  if (code === 'used-id-not-outstanding') {
    if (isUnwritten(evidence, ring, element)) return diagnoseSkipped(evidence, ring, [element]);
    return diagnoseId(evidence, ring, element);
  }
  if (code === 'used-length-too-large') return diagnoseLength(evidence, ring, element);
  return plain(ring, detail);
}

function plain(ring: RingReport, detail: string): Diagnosis {
  const place = ringPlace(ring, {});
  return { what: detail, where: describePlace(ring, place), place, notes: [], next: null };
}

/** `used.idx` moved further than buffers are with the device. */
function diagnoseIndex(evidence: FailureEvidence, ring: RingReport, used: number): Diagnosis {
  const { size, driver, outstandingCount } = ring;
  const { taken } = driver;
  const arrived = (used - taken) & 0xffff;
  const slot = slotAt(ring, taken);
  const rule = `used.idx counts used buffers: here it may be ${taken} to ${(taken + outstandingCount) & 0xffff} (2.7.8)`;
  const place = ringPlace(ring, { slot, position: taken });
  const where = `${describePlace(ring, place)}: the next that the driver expects`;
  if (arrived >= 0x8000) {
    const what = `used.idx of queue ${ring.queue} went back: it is ${used}, and the driver took ${taken} already`;
    return { what, where, place, notes: [rule], next: 'look where the device stores used.idx' };
  }
  if (arrived > size) {
    const what = `used.idx of queue ${ring.queue} jumped from ${taken} to ${used}: ${arrived} further in a ring of ${size}`;
    return { what, where, place, notes: [rule], next: 'look where the device stores used.idx' };
  }
  if (ring.inOrder && arrived <= outstandingCount) return diagnoseShortBatch(ring, used);
  return (
    diagnoseElements(evidence, ring) ?? {
      what: `used.idx of queue ${ring.queue} moved from ${taken} to ${used} with ${count(outstandingCount, 'buffer')} with the device`,
      where,
      place,
      notes: [rule],
      next: 'look where the device moves used.idx',
    }
  );
}

/** With IN_ORDER, a used element that names a buffer beyond `used.idx`. */
function diagnoseShortBatch(ring: RingReport, used: number): Diagnosis {
  const { driver, queue, usedElements, outstanding } = ring;
  const element = usedElements.find(({ state }) => state === 'used');
  const place = ringPlace(ring, { slot: slotAt(ring, driver.taken), position: driver.taken });
  const oldest = outstanding[0]?.id;
  return {
    what: `used.idx of queue ${queue} ends at ${used}, before the buffer that its used element names`,
    where: `${describePlace(ring, place)}${element === undefined ? '' : `: it has id ${element.id}`}; the oldest buffer is ${oldest}`,
    place,
    notes: [
      'with IN_ORDER a used element returns every buffer up to its own, and used.idx counts each of them (2.7.9)',
      'a buffer that the device left out earlier shows here: the driver took it as returned with the next one',
    ],
    next: 'look for a path on which the device takes a request and does not use its buffer',
  };
}

/** The first used element, of those that arrived, that cannot be; `undefined` where each can. */
function diagnoseElements(evidence: FailureEvidence, ring: RingReport): Diagnosis | undefined {
  const arrived = ring.usedElements.filter(({ state }) => state === 'used');
  const known = new Set(
    evidence.buffers.get(ring.queue)?.flatMap(({ id, isOutstanding }) => (isOutstanding ? [id] : [])),
  );
  const seen = new Map<number, UsedElement>();
  for (const [at, element] of arrived.entries()) {
    const { id } = element;
    const before = seen.get(id);
    if (id < ring.size && known.has(id) && before === undefined) {
      seen.set(id, element);
      continue;
    }
    if (isUnwritten(evidence, ring, element)) return diagnoseSkipped(evidence, ring, arrived.slice(at));
    if (id >= ring.size) return diagnoseUnknownId(ring, element);
    return before === undefined ? diagnoseId(evidence, ring, element) : diagnoseTwice(evidence, ring, before, element);
  }
  return undefined;
}

/** Whether an element is as it was before the device could write it in this lap. */
function isUnwritten(evidence: FailureEvidence, ring: RingReport, { position, id, length }: UsedElement): boolean {
  if (ring.layout === 'packed') return false;
  const previous = (position - ring.size) & 0xffff;
  const lap = takenBuffers(evidence, ring).find((taken) => taken.position === previous);
  if (lap !== undefined) return lap.id === id && lap.event.length === length;
  // In the first lap every element is as the driver cleared it. An index below the size may be that of a later one.
  return position < ring.size && evidence.dropped === 0 && id === 0 && length === 0;
}

function diagnoseSkipped(evidence: FailureEvidence, ring: RingReport, from: readonly UsedElement[]): Diagnosis {
  const end = from.findIndex((element) => !isUnwritten(evidence, ring, element));
  const skipped = end < 0 ? from : from.slice(0, end);
  const [first] = skipped;
  const last = skipped.at(-1)!;
  const { position, slot, id, length } = first!;
  const lap = position < ring.size ? 'as the driver cleared the ring' : 'as in the lap before';
  const place = ringPlace(ring, { slot, position });
  return {
    what: `the device skipped ${slots('used slot', slot, last.slot)} of queue ${ring.queue}: used.idx passed, its element is unwritten`,
    where: `${describePlace(ring, place)}: it has id ${id}, length ${length}, ${lap}`,
    place,
    notes: [mostNote(ring), ONE_ELEMENT],
    next: 'look where the device moves used.idx: it counts an element that it did not write',
  };
}

function mostNote({ used, driver, outstandingCount }: RingReport): string {
  const most = (driver.taken + outstandingCount) & 0xffff;
  return `used.idx is ${used}, and may be ${most} at most: the device has ${count(outstandingCount, 'buffer')} from ${driver.taken} on`;
}

function diagnoseUnknownId(ring: RingReport, { id, slot, position, length }: UsedElement): Diagnosis {
  const place = ringPlace(ring, { slot, position, buffer: id });
  return {
    what: `the device returned buffer ${id} of queue ${ring.queue}, which has ${ring.size} entries`,
    where: `${describePlace(ring, place)}: it has id ${id}, length ${length}`,
    place,
    notes: [oldestNote(ring)],
    next: `look where the device stores the id: it is the ${ring.layout === 'split' ? 'head of the chain' : 'id of the last descriptor'} that it took`,
  };
}

function oldestNote({ outstanding, queue }: RingReport): string {
  const [oldest] = outstanding;
  return oldest === undefined
    ? `queue ${queue} has no buffer with the device`
    : `the oldest buffer that the device has is ${oldest.id}`;
}

/** The device returned a buffer that it does not have. */
function diagnoseId(evidence: FailureEvidence, ring: RingReport, element: UsedElement): Diagnosis {
  const { id, slot, position, length } = element;
  const back = lastReturn(evidence, ring, id);
  const place = ringPlace(ring, { slot, position, buffer: id });
  const where = `${describePlace(ring, place)}: it has id ${id}, length ${length}`;
  if (back === undefined) {
    const isAdded = wasAdded(evidence, ring, id);
    const never = isAdded === false ? 'the driver never made it available' : 'it is not with the device';
    return {
      what: `the device returned buffer ${id} of queue ${ring.queue}, and ${never}`,
      where,
      place,
      notes: [oldestNote(ring)],
      next: 'look where the device takes the id of the used element from',
    };
  }
  const isJustBefore = takenBuffers(evidence, ring).at(-1)?.event === back.event;
  const made = evidence.buffers.get(ring.queue)?.find((buffer) => buffer.id === id)?.position;
  const before = made === undefined ? 'before' : `before, made available in slot ${slotAt(ring, made)}`;
  const earlier =
    back.position === undefined ? before : `in used slot ${slotAt(ring, back.position)} (used index ${back.position})`;
  const rule = ring.layout === 'split' ? ONE_ELEMENT : ONE_DESCRIPTOR;
  const again = `the device returned buffer ${id} ${earlier}, and the driver has not made it available since`;
  if (isJustBefore) {
    return {
      what: `the device returned buffer ${id} of queue ${ring.queue} twice in a row`,
      where: `${where}, again`,
      place,
      notes: [again, rule],
      next: 'look for a second completion of the same request',
    };
  }
  return {
    what: `the device returned buffer ${id} of queue ${ring.queue}, which it does not have`,
    where,
    place,
    notes: [again, oldestNote(ring)],
    next: 'look where the device takes the id of the used element from, and for a second completion of a request',
  };
}

/** Two of the used elements that arrived have the same id. */
function diagnoseTwice(
  evidence: FailureEvidence,
  ring: RingReport,
  before: UsedElement,
  { id, slot, position, length }: UsedElement,
): Diagnosis {
  const place = ringPlace(ring, { slot, position, buffer: id });
  const first = `buffer ${id} is in used slot ${before.slot} (used index ${before.position}) already`;
  const where = `${describePlace(ring, place)}: it has id ${id}, length ${length}`;
  if (isUnwritten(evidence, ring, before)) {
    const what = `the device returned buffer ${id} of queue ${ring.queue} twice, or skipped used slot ${before.slot}`;
    const note = `${first}, which holds what it held a lap before: used.idx may have passed it unwritten`;
    return { what, where, place, notes: [note, ONE_ELEMENT], next: 'look where the device moves used.idx' };
  }
  return {
    what: `the device returned buffer ${id} of queue ${ring.queue} twice: used slots ${before.slot} and ${slot}`,
    where: `${where}, again`,
    place,
    notes: [first, ONE_ELEMENT],
    next: 'look for a second completion of the same request',
  };
}

function diagnoseLength(
  { buffers }: FailureEvidence,
  ring: RingReport,
  { id, slot, position, length }: UsedElement,
): Diagnosis {
  const room = ring.outstanding.find((buffer) => buffer.id === id)?.writableBytes;
  const place = ringPlace(ring, { slot, position, buffer: id });
  const has = room === undefined ? 'less' : String(room);
  return {
    what: `the device says that it wrote ${count(length, 'byte')} to buffer ${id}, which has room for ${has}`,
    where: `${describePlace(ring, place)}: it has id ${id}, length ${length}`,
    place,
    notes: ['the used length counts bytes that the device wrote to the writable descriptors (2.7.8)'],
    next:
      room !== undefined && readableTails(buffers.get(ring.queue), id).includes(length - room)
        ? 'the device counts device-readable bytes too: correct that, or have the driver cut the used length ' +
          '(driver.usedLength: clamp)'
        : 'look how the device counts the used length: written bytes only, no device-readable ones',
  };
}

/** Bytes of the last device-readable descriptors of a buffer: of one, of two, and so on. */
function readableTails(buffers: readonly BufferInspection[] = [], id: number): number[] {
  const found = buffers.find((buffer) => buffer.id === id && buffer.isOutstanding);
  const fields = found?.descriptors.map(({ written }) => written) ?? [];
  const readable = fields.filter(({ flags }) => (flags & (VIRTQ_DESC_F_WRITE | VIRTQ_DESC_F_INDIRECT)) === 0);
  return readable.map((_, first) => readable.slice(first).reduce((sum, { length }) => sum + length, 0));
}
