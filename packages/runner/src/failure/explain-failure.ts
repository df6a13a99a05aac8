import { isCodedError, type Mismatch } from '@virtio-platform/core';
import type { BufferInspection, DescriptorInspection, Virtqueue } from '@virtio-platform/core/queue';
import type { RingReport } from '../report/ring-report.ts';
import type { MissedNotification } from '../used-notifications.ts';
import { bufferOf, completeExplanation, type DescribeBuffer } from './complete-explanation.ts';
import { diagnoseBrokenQueue } from './diagnose-broken-queue.ts';
import { describeFaultOf, diagnoseErrorState } from './diagnose-fault.ts';
import { diagnoseMissedNotification } from './diagnose-missed-notification.ts';
import { diagnoseStall } from './diagnose-stall.ts';
import { isNotOfDevice } from '../report/run-errors.ts';
import { count, describePlace, ringPlace, slotAt, type Diagnosis } from './diagnosis.ts';
import type { FailureEvidence } from './failure-evidence.ts';
import type { FailureExplanation } from './failure-explanation.ts';
import { lastReturn } from './used-history.ts';

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
    return completeExplanation('queue-broken', diagnosis, evidence, broken, describe);
  }
  const state = ERROR_STATES[error.code];
  if (state !== undefined) {
    const { diagnosis, ring: faulted } = diagnoseErrorState(evidence, state);
    return completeExplanation('fault', diagnosis, evidence, faulted, describe);
  }
  const stalled = error.code === 'ERR_DEVICE_STALLED' ? diagnoseStall(evidence) : undefined;
  if (stalled !== undefined) return completeExplanation('stalled', stalled.diagnosis, evidence, stalled.ring, describe);
  const ring = evidence.rings.find(({ outstandingCount }) => outstandingCount > 0) ?? evidence.rings[0];
  if (ring === undefined || EXPLAINED_BEFORE.has(error.code) || isNotOfDevice(error)) return undefined;
  if (error.code === 'ERR_DEVICE_LOST' && ring.outstandingCount > 0)
    return completeExplanation('lost', diagnoseOldest(error.message, ring, 'had'), evidence, ring, describe);
  const diagnosis = { ...diagnoseOldest(error.message, ring, 'has'), next: error.hint ?? null };
  return completeExplanation('error', diagnosis, evidence, ring, describe);
}

/** Errors of a device that stopped by itself, and what it is like then. */
const ERROR_STATES: Readonly<Record<string, string>> = {
  ERR_DEVICE_NEEDS_RESET: 'the device entered an error state',
  ERR_DEVICE_FROZEN: 'the device is frozen: its status reads as all ones,',
};
/** Errors that the run throws at its end, of what was explained when it was found. */
const EXPLAINED_BEFORE: ReadonlySet<string> = new Set(['ERR_NOTIFICATION_MISSED', 'ERR_DESCRIPTOR_CHANGED']);

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
      // What was written beyond the buffer is of this request alone.
      ...(writer === undefined || kind === 'overrun' ? [] : [describeWriter(writer)]),
      ...(brief === undefined ? [] : [detail]),
    ],
    next: (refused.length > 0 ? NEXT_AFTER_FAULT : NEXT[kind]) ?? null,
  };
  return {
    ...completeExplanation('mismatch', diagnosis, evidence, ring, () => undefined),
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
  return completeExplanation('notification', diagnosis, evidence, ring, describe);
}

/** Whether a descriptor of a queue is not what the driver wrote. Reads no events: every run asks at its end. */
export function hasChangedDescriptor(queue: Virtqueue): boolean {
  return queue.inspectBuffers().some(isChanged);
}

function isChanged({ descriptors }: BufferInspection): boolean {
  return descriptors.some((descriptor) => descriptor.isChanged);
}

/** Explains descriptors that the device changed; `undefined` where it changed none. */
export function explainChangedDescriptor(evidence: FailureEvidence): FailureExplanation | undefined {
  for (const [queue, buffers] of evidence.buffers) {
    const changed = buffers.filter(isChanged);
    const [buffer] = changed;
    const ring = evidence.rings.find((candidate) => candidate.queue === queue);
    if (buffer === undefined || ring === undefined) continue;
    const descriptor = buffer.descriptors.find((candidate) => candidate.isChanged)!;
    const diagnosis = diagnoseChanged(ring, buffer, descriptor, changed.length);
    return completeExplanation('descriptor', diagnosis, evidence, ring, () => undefined);
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

/** An error with the oldest buffer that the device has: all that the rings say of it. */
function diagnoseOldest(what: string, ring: RingReport, has: 'has' | 'had'): Diagnosis {
  const { queue, outstanding, outstandingCount } = ring;
  const [oldest] = outstanding;
  const place = ringPlace(ring, { buffer: oldest?.id ?? null });
  const where =
    oldest === undefined
      ? `queue ${queue}: the device ${has} no buffer`
      : `queue ${queue}: the device ${has} ${count(outstandingCount, 'buffer')}, the oldest is buffer ${oldest.id}`;
  return { what, where, place, notes: [], next: null };
}
