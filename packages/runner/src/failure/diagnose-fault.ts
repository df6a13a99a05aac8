import type { BufferInspection, DescriptorInspection } from '@virtio-platform/core/queue';
import type { TraceEvent } from '@virtio-platform/trace';
import type { FaultReport } from '../report/report.ts';
import type { RingReport } from '../report/ring-report.ts';
import { count, ringPlace, type Diagnosis } from './diagnosis.ts';
import type { FailureEvidence } from './failure-evidence.ts';
import { NO_PLACE } from './failure-explanation.ts';

/** The areas of a queue, in the order of its addresses. */
const AREAS = ['descriptor', 'driver', 'device'] as const;

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
export function describeAccess({ access, length, address }: FaultReport): string {
  return `${access} of ${count(length, 'byte')} at ${address}`;
}

/** Says which refused access came before the error state of a device, and what its address belongs to. */
export function diagnoseErrorState(evidence: FailureEvidence): RingDiagnosis {
  const state = 'the device entered an error state';
  const fault = evidence.faults.find(({ cause }) => cause !== 'device-error');
  const error = evidence.faults.find(({ cause }) => cause === 'device-error');
  const next = error === undefined ? null : 'look at what the device met; its address space refused nothing';
  if (fault === undefined)
    return withOldest(`${state}${error === undefined ? '' : `: ${error.detail}`}`, evidence, next);
  const what = `${state} after its ${describeAccess(fault)} was refused: ${fault.detail ?? fault.cause}`;
  const of = faultedDescriptor(evidence, fault);
  const others = evidence.faults.length - 1;
  const notes = [
    describeMapping(evidence.events, fault),
    ...(others > 0 ? [`${count(others, 'more access', 'more accesses')} refused`] : []),
  ];
  if (of !== undefined) {
    const { ring, buffer } = of;
    const place = ringPlace(ring, { buffer: buffer.id, deviceAddress: fault.address });
    const where = `queue ${ring.queue}, buffer ${buffer.id}, ${describeDescriptor(of)}`;
    return { ring, diagnosis: { what, where, place, notes, next: NEXT } };
  }
  const area = faultedArea(evidence, fault);
  const place = { ...NO_PLACE, deviceAddress: fault.address, queue: area?.ring.queue ?? null };
  const where =
    area === undefined
      ? `device address ${fault.address}: it is in no descriptor of the buffers that the driver knows`
      : `queue ${area.ring.queue}: the ${area.name} area of the ring begins at ${fault.address}`;
  return { ring: area?.ring ?? undefined, diagnosis: { what, where, place, notes, next: NEXT } };
}

const NEXT = 'look which mapping gave the driver this address, and what the tables of the platform have there';

/** The refused access that was for bytes of this buffer, in a sentence; `undefined` where there was none. */
export function describeFaultOf(evidence: FailureEvidence, queue: number, id: number): string | undefined {
  for (const fault of evidence.faults) {
    const of = faultedDescriptor(evidence, fault, queue, id);
    if (of === undefined) continue;
    return `the device's ${describeAccess(fault)} was refused: ${fault.detail ?? fault.cause} (buffer ${id}, ${describeDescriptor(of)})`;
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
function describeMapping(events: readonly TraceEvent[], { address: faulted }: FaultReport): string {
  const wanted = BigInt(faulted);
  const at = events.findLastIndex(
    ({ kind, id, deviceAddress, length }) =>
      (kind === 'premap' || kind === 'coherent' || (kind === 'map' && id >= 0)) &&
      wanted >= deviceAddress &&
      wanted < deviceAddress + BigInt(length),
  );
  const fault = events.findIndex(({ kind, deviceAddress }) => kind === 'fault' && deviceAddress === wanted);
  const mapping = events[at];
  if (mapping === undefined) return 'of the mappings that the recorder kept, none gave the driver this address';
  const { kind, id, address, length, deviceAddress } = mapping;
  const ended = events.findIndex(
    (event, i) =>
      i > at &&
      ((event.kind === 'unmap' && kind === 'map' && event.id === id) ||
        (event.kind === 'release' && kind !== 'map' && event.deviceAddress === deviceAddress)),
  );
  const from = address === null ? '' : ` of guest address 0x${address.toString(16)}`;
  const made = `the driver got it from a mapping of ${count(length, 'byte')}${from}`;
  if (ended < 0) return `${made}, which it had not ended`;
  return fault >= 0 && ended < fault ? `${made}, which it had ended before the access` : `${made}, ended since`;
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
