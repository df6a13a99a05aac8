import { isCodedError, type Mismatch } from '@virtio-platform/core';
import type { BufferInspection, DescriptorFields, DescriptorInspection } from '@virtio-platform/core/queue';
import type { RingReport } from '../report/ring-report.ts';
import type { MissedNotification } from '../used-notifications.ts';
import { chooseEvents } from './choose-events.ts';
import { diagnoseBrokenQueue } from './diagnose-broken-queue.ts';
import { describeFaultOf, diagnoseErrorState } from './diagnose-fault.ts';
import { diagnoseMissedNotification } from './diagnose-missed-notification.ts';
import { diagnoseStall } from './diagnose-stall.ts';
import { count, describePlace, ringPlace, slotAt, type Diagnosis } from './diagnosis.ts';
import type { FailureEvidence } from './failure-evidence.ts';
import { NO_PLACE, type ExplainedDescriptor, type FailureExplanation } from './failure-explanation.ts';
import { lastReturn } from './used-history.ts';

/** The most descriptors of an explanation. */
const MOST_DESCRIPTORS = 24;

/** The operation of a buffer that the device has: `write of sector 312`. */
export type DescribeBuffer = (queue: number, id: number) => string | undefined;

/** Explains an error that ended a run; `undefined` for one that the rings say nothing of. */
export function explainError(
  error: unknown,
  evidence: FailureEvidence,
  describe: DescribeBuffer,
): FailureExplanation | undefined {
  if (!isCodedError(error)) return undefined;
  const broken = evidence.rings.find((ring) => ring.broken !== null);
  if (error.code === 'ERR_QUEUE_BROKEN' && broken !== undefined) {
    const diagnosis = diagnoseBrokenQueue(evidence, broken);
    return complete('queue-broken', diagnosis, evidence, broken, describe);
  }
  if (error.code === 'ERR_DEVICE_STALLED') {
    const stalled = diagnoseStall(evidence);
    return stalled && complete('stalled', stalled.diagnosis, evidence, stalled.ring, describe);
  }
  if (error.code === 'ERR_DEVICE_NEEDS_RESET') {
    const { diagnosis, ring: faulted } = diagnoseErrorState(evidence);
    return complete('fault', diagnosis, evidence, faulted, describe);
  }
  if (error.code !== 'ERR_DEVICE_LOST') return undefined;
  const ring = evidence.rings.find(({ outstandingCount }) => outstandingCount > 0);
  return ring && complete('lost', diagnoseLost(error.message, ring), evidence, ring, describe);
}

/** Explains the first of a kind of mismatch, when it was found. */
export function explainMismatch(mismatch: Mismatch, evidence: FailureEvidence): FailureExplanation {
  const { what, brief, detail, request, queue, buffer, address, deviceAddress, kind, writer } = mismatch;
  const ring = evidence.rings.find((candidate) => candidate.queue === queue);
  const back = ring === undefined || buffer === null ? undefined : lastReturn(evidence, ring, buffer);
  const made = buffer === null ? undefined : bufferOf(evidence, queue, buffer)?.position;
  const position = back?.position ?? (ring?.layout === 'packed' ? made : undefined) ?? null;
  const slot = ring === undefined || position === null ? null : slotAt(ring, position);
  const place = { operation: what, request, queue, buffer, slot, position, address, deviceAddress };
  const before = [`request ${request}`];
  const addresses = [
    ...(address === null ? [] : [`address ${address}`]),
    ...(deviceAddress === null ? [] : [`device address ${deviceAddress}`]),
  ];
  const where = ring === undefined ? `request ${request}, queue ${queue}` : describePlace(ring, place, before);
  const writtenBy = writer === undefined || writer.buffer === null ? undefined : writer;
  const refused = [
    ...(buffer === null ? [] : [describeFaultOf(evidence, queue, buffer)]),
    ...(writtenBy === undefined ? [] : [describeFaultOf(evidence, writtenBy.queue, writtenBy.buffer!)]),
  ].filter((sentence) => sentence !== undefined);
  const diagnosis = {
    what: `${what}: ${brief ?? detail}`,
    where: [where, ...addresses].join(', '),
    place,
    notes: [
      ...refused,
      ...(writer === undefined ? [] : [describeWriter(writer)]),
      ...(brief === undefined ? [] : [detail]),
    ],
    next: (refused.length > 0 ? NEXT_AFTER_FAULT : NEXT[kind]) ?? null,
  };
  return {
    ...complete('mismatch', diagnosis, evidence, ring, () => undefined),
    bytes: mismatch.difference?.bytes ?? null,
  };
}

function describeWriter({ request, queue, buffer }: NonNullable<Mismatch['writer']>): string {
  const where = buffer === null ? `queue ${queue}` : `queue ${queue}, buffer ${buffer}`;
  return `request ${request} wrote it last, with status OK (${where})`;
}

const NEXT_AFTER_FAULT = 'look why the platform refused that access: the device went on without these bytes';

const NEXT: Readonly<Partial<Record<Mismatch['kind'], string>>> = {
  data: 'compare with what the device read and wrote for this request, and for the one that wrote the data',
  'used-length': 'let the device count each byte that it writes, with the status (2.7.8.2)',
  'status-missing': 'let the device write the status before it uses the buffer',
  overrun: 'let the device write no further than the length of each descriptor',
};

/** Explains the first notification that was missed, when that was found. */
export function explainMissedNotification(
  missed: MissedNotification,
  evidence: FailureEvidence,
  describe: DescribeBuffer,
): FailureExplanation {
  const ring = evidence.rings.find(({ queue }) => queue === missed.queue) ?? evidence.rings[0];
  const diagnosis = diagnoseMissedNotification(missed, ring, evidence);
  return complete('notification', diagnosis, evidence, ring, describe);
}

/** Explains descriptors that the device changed; `undefined` where it changed none. */
export function explainChangedDescriptor(evidence: FailureEvidence): FailureExplanation | undefined {
  for (const [queue, buffers] of evidence.buffers) {
    const changed = buffers.filter(({ descriptors }) => descriptors.some(({ isChanged }) => isChanged));
    const [buffer] = changed;
    const ring = evidence.rings.find((candidate) => candidate.queue === queue);
    if (buffer === undefined || ring === undefined) continue;
    const descriptor = buffer.descriptors.find(({ isChanged }) => isChanged)!;
    const diagnosis = diagnoseChanged(ring, buffer, descriptor, changed.length);
    return complete('descriptor', diagnosis, evidence, ring, () => undefined);
  }
  return undefined;
}

function diagnoseChanged(
  ring: RingReport,
  { id, isOutstanding }: BufferInspection,
  { isIn, index }: DescriptorInspection,
  buffers: number,
): Diagnosis {
  const noun = isIn === 'ring' ? (ring.layout === 'split' ? 'descriptor' : 'slot') : 'entry';
  const where = isIn === 'ring' ? `${noun} ${index}` : `entry ${index} of the indirect table`;
  const whose = isIn === 'ring' ? `queue ${ring.queue}` : `buffer ${id}`;
  const has = isOutstanding ? 'which the device has' : 'which came back';
  const more = buffers > 1 ? `; descriptors of ${count(buffers, 'buffer')} changed in all` : '';
  return {
    what: `${where} of ${whose} changed in memory: it is not what the driver wrote`,
    where: `queue ${ring.queue}, buffer ${id}, ${has}: ${where}${more}`,
    place: ringPlace(ring, { buffer: id }),
    notes: ['the device writes no descriptor: of a packed ring only those of used buffers (2.7.5.1, 2.8.6)'],
    next: 'look for a write of the device to an address that it did not get from a descriptor',
  };
}

function diagnoseLost(message: string, ring: RingReport): Diagnosis {
  const { queue, outstanding, outstandingCount } = ring;
  const [oldest] = outstanding;
  const place = ringPlace(ring, { buffer: oldest!.id });
  return {
    what: message,
    where: `queue ${queue}: the device had ${count(outstandingCount, 'buffer')}, the oldest is buffer ${oldest!.id}`,
    place,
    notes: [],
    next: null,
  };
}

/** Adds operation, ring, events and descriptors to what the evidence says. */
function complete(
  kind: FailureExplanation['kind'],
  { where, place, ...diagnosis }: Diagnosis,
  evidence: FailureEvidence,
  ring: RingReport | undefined,
  describe: DescribeBuffer,
): FailureExplanation {
  const { queue, buffer } = place;
  const isHeld = queue !== null && buffer !== null && isOutstanding(evidence, queue, buffer);
  const operation = place.operation ?? (isHeld ? (describe(queue, buffer) ?? null) : null);
  const isNew = operation !== null && place.operation === null;
  const events = chooseEvents(evidence, queue, buffer);
  const first = evidence.events[0]?.index ?? 0;
  return {
    kind,
    ...diagnosis,
    where: !isNew ? where : kind === 'lost' ? `${where}, a ${operation}` : `${operation}, ${where}`,
    place: { ...NO_PLACE, ...place, operation },
    ring: ring ?? null,
    events,
    eventsDropped: first,
    bytes: null,
    descriptors: queue === null || buffer === null ? [] : descriptorsOf(evidence, queue, buffer),
  };
}

/** Whether the driver has not taken the buffer back: what it asks for is known only then. */
function isOutstanding(evidence: FailureEvidence, queue: number, id: number): boolean {
  return bufferOf(evidence, queue, id)?.isOutstanding ?? false;
}

function bufferOf({ buffers }: FailureEvidence, queue: number, id: number): BufferInspection | undefined {
  return buffers.get(queue)?.find((buffer) => buffer.id === id);
}

function descriptorsOf(evidence: FailureEvidence, queue: number, id: number): ExplainedDescriptor[] {
  const buffer = bufferOf(evidence, queue, id);
  if (buffer === undefined) return [];
  return buffer.descriptors.slice(0, MOST_DESCRIPTORS).map(({ isIn, index, written, found, isChanged }) => ({
    isIn,
    index,
    written: explainFields(written),
    found: isChanged ? explainFields(found) : null,
  }));
}

function explainFields({ address, ...fields }: DescriptorFields): ExplainedDescriptor['written'] {
  return { address: `0x${address.toString(16)}`, ...fields };
}
