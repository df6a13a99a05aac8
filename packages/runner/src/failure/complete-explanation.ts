import type { BufferInspection, DescriptorFields } from '@virtio-platform/core/queue';
import type { RingReport } from '../report/ring-report.ts';
import { chooseEvents } from './choose-events.ts';
import type { Diagnosis } from './diagnosis.ts';
import type { FailureEvidence } from './failure-evidence.ts';
import { NO_PLACE, type ExplainedDescriptor, type FailureExplanation } from './failure-explanation.ts';

/** The most descriptors of an explanation. */
const MOST_DESCRIPTORS = 24;

/** The operation of a buffer that the device has: `write of sector 312`. */
export type DescribeBuffer = (queue: number, id: number) => string | undefined;

/** Adds operation, ring, events and descriptors to what the evidence says. */
export function completeExplanation(
  kind: FailureExplanation['kind'],
  { where, place, story, ...diagnosis }: Diagnosis,
  evidence: FailureEvidence,
  ring: RingReport | undefined,
  describe: DescribeBuffer,
): FailureExplanation {
  const { queue, buffer } = place;
  const isHeld = queue !== null && buffer !== null && isOutstanding(evidence, queue, buffer);
  const operation = place.operation ?? (isHeld ? (describe(queue, buffer) ?? null) : null);
  const isNew = operation !== null && place.operation === null;
  const events = chooseEvents(evidence, queue, buffer, story);
  const first = evidence.events[0]?.index ?? 0;
  return {
    kind,
    ...diagnosis,
    where: !isNew ? where : kind === 'lost' || kind === 'error' ? `${where}, a ${operation}` : `${operation}, ${where}`,
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

/** The newest buffer with this id whose descriptors are known. */
export function bufferOf({ buffers }: FailureEvidence, queue: number, id: number): BufferInspection | undefined {
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
