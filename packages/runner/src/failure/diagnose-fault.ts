import { rangeAt } from '@virtio-platform/core/dma';
import type { BufferInspection, DescriptorInspection } from '@virtio-platform/core/queue';
import type { TraceEvent } from '@virtio-platform/trace';
import type { FaultReport } from '../report/report.ts';
import type { RingReport } from '../report/ring-report.ts';
import { count, ringPlace, type Diagnosis } from './diagnosis.ts';
import type { FailureEvidence } from './failure-evidence.ts';
import { NO_PLACE } from './failure-explanation.ts';

/** The most buffers of a page that are named. */
const MOST_USERS = 6;
/** The areas of a queue, in the order of its addresses. */
const AREAS = ['descriptor', 'driver', 'device'] as const;

/** The cause of a fault that is an interrupt: nothing is mapped for one, and no buffer has its address. */
const INTERRUPT = 'interrupt-blocked';

/** A descriptor whose bytes a refused access was for. */
interface FaultedDescriptor {
  readonly ring: RingReport;
  readonly buffer: BufferInspection;
  readonly descriptor: DescriptorInspection;
}

/** A diagnosis with the queue that it is of. */
export interface RingDiagnosis {
  readonly diagnosis: Diagnosis;
  readonly ring: RingReport | undefined;
}

/** An access in words, without why it was refused. */
export function describeAccess({ access, length, address, cause }: FaultReport): string {
  const isInterrupt = cause === INTERRUPT;
  if (length === 0) return isInterrupt ? 'interrupt of the device' : 'access at an address that is not known';
  const of = `${access} of ${count(length, 'byte')} at ${address}`;
  return isInterrupt ? `interrupt (${of})` : of;
}

/** An access in words, and why it was refused, or that its address is no memory. */
function describeRefusal(evidence: FailureEvidence, fault: FaultReport): string {
  const access = describeAccess(fault);
  const interrupts = fault.cause === INTERRUPT ? undefined : interruptsAt(evidence, fault);
  if (interrupts !== undefined) return `${access} reached no memory: the address is in the ${interrupts}`;
  return `${access} was refused: ${fault.detail ?? fault.cause}`;
}

/** What the platform calls the addresses of interrupts where the access is to one of them. */
function interruptsAt({ interrupts }: FailureEvidence, { address, length }: FaultReport): string | undefined {
  return length === 0 ? undefined : rangeAt(interrupts, BigInt(address))?.what;
}

/** Says which refused access came before an error `state` of a device, and what its address belongs to. */
export function diagnoseErrorState(evidence: FailureEvidence, state: string): RingDiagnosis {
  const fault = evidence.faults.find(({ cause }) => cause !== 'device-error');
  const error = evidence.faults.find(({ cause }) => cause === 'device-error');
  const next = error === undefined ? null : AFTER_ERROR;
  if (fault === undefined)
    return withOldest(`${state}${error === undefined ? '' : `: ${error.detail}`}`, evidence, next);
  const { ring, diagnosis } = diagnoseAccess(evidence, fault);
  const what = `${state} after its ${describeRefusal(evidence, fault)}`;
  const others = evidence.faults.length - 1;
  const more = others > 0 ? [`${count(others, 'more access', 'more accesses')} refused`] : [];
  return { ring, diagnosis: { ...diagnosis, what, notes: [...diagnosis.notes, ...more] } };
}

/** Says what the address of a refused access belongs to, and where the driver got it from. */
export function diagnoseAccess(evidence: FailureEvidence, fault: FaultReport): RingDiagnosis {
  if (fault.cause === INTERRUPT) return diagnoseInterrupt(evidence, fault, blocked(fault));
  const what = `the device's ${describeRefusal(evidence, fault)}`;
  const isInterrupts = interruptsAt(evidence, fault) !== undefined;
  // What a machine refuses begins at the first byte that it refused.
  const { note, story, next } = diagnoseMapping(evidence.events, { ...fault, length: 1 });
  const common = { what, notes: [note], story, next: isInterrupts ? OF_NO_MAPPING : next };
  const of = faultedDescriptor(evidence, fault);
  if (of !== undefined) {
    const { ring, buffer } = of;
    const place = ringPlace(ring, { buffer: buffer.id, deviceAddress: fault.address });
    const where = `queue ${ring.queue}, buffer ${buffer.id}, ${describeDescriptor(of)}`;
    return { ring, diagnosis: { ...common, where, place } };
  }
  const area = faultedArea(evidence, fault);
  if (area === undefined && isInterrupts) return diagnoseInterrupt(evidence, fault, common);
  const place = { ...NO_PLACE, deviceAddress: fault.address, queue: area?.ring.queue ?? null };
  const where =
    area === undefined
      ? `device address ${fault.address}: it is in no descriptor of the buffers that the driver knows`
      : `queue ${area.ring.queue}: the ${area.name} area of the ring begins at ${fault.address}`;
  if (area !== undefined) return { ring: area.ring, diagnosis: { ...common, where, place } };
  const work = workedOn(evidence, fault.address);
  const notes = work === undefined ? common.notes : [...common.notes, work.note];
  return { ring: work?.ring, diagnosis: { ...common, notes, where, place } };
}

const OF_NO_MAPPING = 'look where the device has this address from: no mapping has one of this range';

/** Of an interrupt that the unit looks up, and did not let through. */
function blocked(fault: FaultReport): Pick<Diagnosis, 'what' | 'next'> {
  return {
    what: `the IOMMU did not let the device's ${describeAccess(fault)} through: ${fault.detail ?? fault.cause}`,
    next:
      'look at the entry of the interrupt remapping table that address and data of the interrupt name, ' +
      'and at what the unit recorded of it',
  };
}

/** Says of an access to the addresses of interrupts that it is none to memory, and when it was. */
function diagnoseInterrupt(
  evidence: FailureEvidence,
  fault: FaultReport,
  { what, next }: Pick<Diagnosis, 'what' | 'next'>,
): RingDiagnosis {
  const { address } = fault;
  const accessAt = accessIn(evidence.events, fault);
  const work = workedOn(evidence, address);
  const diagnosis = {
    what,
    where: `device address ${address}: a write there is an interrupt, and no access to memory`,
    place: { ...NO_PLACE, deviceAddress: address },
    notes: work === undefined ? [] : [work.note],
    story: accessAt < 0 ? [] : [evidence.events[accessAt]!],
    next,
  };
  return { ring: work?.ring, diagnosis };
}

/**
 * The buffer that the device worked on when it was refused the access to `address`, or now: where it is in the thread
 * of the recorder.
 */
export function workedOn(
  { events, rings }: FailureEvidence,
  address?: string,
): { readonly ring: RingReport; readonly note: string } | undefined {
  const isAccess = ({ kind, deviceAddress }: TraceEvent): boolean =>
    address !== undefined && kind === 'fault' && deviceAddress === BigInt(address);
  const at = events.findLastIndex(isAccess);
  const buffer = bufferAtWork(at < 0 ? events : events.slice(0, at));
  const ring = rings.find(({ queue }) => queue === buffer?.queue);
  if (buffer === undefined || ring === undefined) return undefined;
  return { ring, note: `the device worked on buffer ${buffer.id} of queue ${buffer.queue} then` };
}

/** The buffer that the device took last and has not given back, by the last of these events. */
export function bufferAtWork(events: readonly TraceEvent[]): Pick<TraceEvent, 'queue' | 'id'> | undefined {
  const last = events.findLast(({ kind }) => kind === 'pop' || kind === 'push' || kind === 'flush');
  return last?.kind === 'pop' ? last : undefined;
}

/**
 * Says what the IOMMU recorded of an access, where the machine itself saw none. It knows the page, and not which bytes
 * of it.
 */
export function diagnoseRecorded(evidence: FailureEvidence, fault: FaultReport): RingDiagnosis {
  const { address, detail, cause } = fault;
  if (fault.length === 0) return cause === INTERRUPT ? ofInterrupt(detail ?? cause) : withoutAddress(detail ?? cause);
  const what = `the IOMMU recorded a ${describeAccess(fault)}: ${detail ?? cause}`;
  const place = { ...NO_PLACE, deviceAddress: address };
  const interrupts = interruptsAt(evidence, fault);
  if (interrupts !== undefined) {
    const where = `device address ${address}: it is in the ${interrupts}, which is no memory`;
    return { ring: undefined, diagnosis: { what, where, place, notes: [], story: [], next: OF_NO_MAPPING } };
  }
  const { note, story, next } = diagnoseMapping(evidence.events, fault);
  const users = buffersIn(evidence, fault);
  const where = `device address ${address}: ${users ?? 'the driver knows no buffer there'}`;
  return { ring: undefined, diagnosis: { what, where, place, notes: [note], story, next } };
}

/** Of an interrupt, of which the IOMMU says the entry that it named, or why it named none. */
function ofInterrupt(detail: string): RingDiagnosis {
  const what = `the IOMMU recorded an interrupt of the device that it did not let through: ${detail}`;
  const where = 'the IOMMU records no address of an interrupt, which is no access to memory';
  const next =
    'look at the entry of the interrupt remapping table that the interrupt named, where the record has one, ' +
    'and for which requester it is';
  return { ring: undefined, diagnosis: { what, where, place: NO_PLACE, notes: [], story: [], next } };
}

/** Of an access of which the IOMMU says neither address nor direction. */
function withoutAddress(detail: string): RingDiagnosis {
  const what = `the IOMMU refused an access: ${detail}`;
  const next = 'run with driver.sanitize: true, which compares each segment with the tables of the platform';
  const where = 'the IOMMU does not say where';
  return { ring: undefined, diagnosis: { what, where, place: NO_PLACE, notes: [], story: [], next } };
}

/** Says what an error of the device itself was. */
export function diagnoseInside(evidence: FailureEvidence, { detail }: FaultReport): RingDiagnosis {
  return withOldest(`an error inside the device: ${detail}`, evidence, AFTER_ERROR);
}

const AFTER_ERROR = 'look at what the device met; its address space refused nothing';

/** The refused access that was for bytes of this buffer, in a sentence; `undefined` where there was none. */
export function describeFaultOf(evidence: FailureEvidence, queue: number, id: number): string | undefined {
  for (const fault of evidence.faults) {
    const of = faultedDescriptor(evidence, fault, queue, id);
    if (of === undefined) continue;
    return `the device's ${describeRefusal(evidence, fault)} (buffer ${id}, ${describeDescriptor(of)})`;
  }
  return undefined;
}

function describeDescriptor({ ring, descriptor: { isIn, index } }: FaultedDescriptor): string {
  if (isIn === 'table') return `entry ${index} of its indirect table`;
  return `${ring.layout === 'split' ? 'descriptor' : 'slot'} ${index}`;
}

/** The descriptor that has the address: of a buffer that the device has where there is one, else of the newest. */
function faultedDescriptor(
  { rings, buffers }: FailureEvidence,
  fault: FaultReport,
  queue?: number,
  id?: number,
): FaultedDescriptor | undefined {
  const address = BigInt(fault.address);
  let found: FaultedDescriptor | undefined;
  for (const ring of rings) {
    if (queue !== undefined && ring.queue !== queue) continue;
    for (const buffer of buffers.get(ring.queue) ?? []) {
      if (id !== undefined && buffer.id !== id) continue;
      const descriptor = buffer.descriptors.find(
        ({ written }) => address >= written.address && address < written.address + BigInt(written.length),
      );
      if (descriptor === undefined) continue;
      if (buffer.isOutstanding) return { ring, buffer, descriptor };
      found ??= { ring, buffer, descriptor };
    }
  }
  return found;
}

/** The area of a ring that begins at the address: a device reads each from its beginning when it starts. */
function faultedArea({ rings, areas }: FailureEvidence, { address }: FaultReport): FaultedArea | undefined {
  for (const ring of rings) {
    const at = areas.get(ring.queue)?.findIndex((area) => area === BigInt(address)) ?? -1;
    if (at >= 0) return { ring, name: AREAS[at]! };
  }
  return undefined;
}

interface FaultedArea {
  readonly ring: RingReport;
  readonly name: (typeof AREAS)[number];
}

/** Where the driver got a device address from, by the events that the recorder kept. */
interface MappingOfAddress {
  readonly note: string;
  /** The events of the mapping, and of the access. */
  readonly story: readonly TraceEvent[];
  readonly next: string;
}

/** Finds the newest mapping that has bytes of an access, and its end. */
function diagnoseMapping(events: readonly TraceEvent[], fault: FaultReport): MappingOfAddress {
  const at = events.findLastIndex(
    ({ kind, id, deviceAddress, length }) =>
      (kind === 'premap' || kind === 'coherent' || (kind === 'map' && id >= 0)) &&
      overlaps(fault, deviceAddress, length),
  );
  const accessAt = accessIn(events, fault);
  const access = accessAt < 0 ? [] : [events[accessAt]!];
  const mapping = events[at];
  if (mapping === undefined) {
    const note = 'of the mappings that the recorder kept, none gave the driver this address';
    return { note, story: access, next: 'look where the device has this address from, and what is mapped there' };
  }
  const { kind, queue, id, address, length, deviceAddress } = mapping;
  const endedAt = events.findIndex(
    (event, i) =>
      i > at &&
      ((event.kind === 'unmap' && kind === 'map' && event.queue === queue && event.id === id) ||
        (event.kind === 'release' && kind !== 'map' && event.deviceAddress === deviceAddress)),
  );
  const from = address === null ? '' : ` of guest address 0x${address.toString(16)}`;
  const made = `the driver got it from a mapping of ${count(length, 'byte')}${from}`;
  if (endedAt < 0) return { note: `${made}, which it had not ended`, story: [mapping, ...access], next: NEXT };
  const story = [mapping, events[endedAt]!, ...access];
  if (accessAt < 0 || endedAt > accessAt) return { note: `${made}, ended since`, story, next: NEXT };
  const next = 'let the device forget an address when it uses the buffer: the mapping ends then';
  return { note: `${made}, which it had ended before the access`, story, next };
}

const NEXT = 'look which mapping gave the driver this address, and what the tables of the platform have there';

/** The index of the event of a refused access; -1 where the recorder has none. */
function accessIn(events: readonly TraceEvent[], { address }: FaultReport): number {
  return events.findIndex(({ kind, deviceAddress }) => kind === 'fault' && deviceAddress === BigInt(address));
}

/** Whether an access has bytes of these addresses. */
function overlaps({ address, length: accessed }: FaultReport, from: bigint, length: number): boolean {
  const first = BigInt(address);
  return first < from + BigInt(length) && from < first + BigInt(Math.max(1, accessed));
}

/** The buffers that have bytes of an access, in words; `undefined` where none has. */
function buffersIn({ rings, buffers }: FailureEvidence, fault: FaultReport): string | undefined {
  const texts = rings.flatMap(({ queue }) => {
    const known = buffers.get(queue) ?? [];
    const ids = known
      .filter(({ descriptors }) => descriptors.some(({ written }) => overlaps(fault, written.address, written.length)))
      .map(({ id }) => id);
    if (ids.length === 0) return [];
    const few = [...new Set(ids)].toSorted((one, other) => one - other).slice(0, MOST_USERS);
    const more = ids.length > few.length ? ' and others' : '';
    return [`${few.length === 1 ? 'buffer' : 'buffers'} ${few.join(', ')}${more} of queue ${queue}`];
  });
  return texts.length === 0 ? undefined : `there, the driver has ${texts.join(', and ')}`;
}

/** Without a refused access: the oldest buffer that the device has. */
function withOldest(what: string, { rings }: FailureEvidence, next: string | null): RingDiagnosis {
  const ring = rings.find(({ outstandingCount }) => outstandingCount > 0);
  const [oldest] = ring?.outstanding ?? [];
  if (ring === undefined || oldest === undefined)
    return { ring, diagnosis: { what, where: 'it had no buffer', place: NO_PLACE, notes: [], next } };
  const has = `the device had ${count(ring.outstandingCount, 'buffer')}, the oldest is buffer ${oldest.id}`;
  const place = ringPlace(ring, { buffer: oldest.id });
  return { ring, diagnosis: { what, where: `queue ${ring.queue}: ${has}`, place, notes: [], next } };
}
