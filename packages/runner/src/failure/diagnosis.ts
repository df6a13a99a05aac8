import { slotOf } from '@virtio-platform/core/queue';
import type { TraceEvent } from '@virtio-platform/trace';
import type { RingReport } from '../report/ring-report.ts';
import { NO_PLACE, type FailureExplanation, type FailurePlace } from './failure-explanation.ts';

/** What the evidence says of a failure, before events, bytes and descriptors are added. */
export interface Diagnosis extends Pick<FailureExplanation, 'what' | 'where' | 'place' | 'notes' | 'next'> {
  /** Events that belong to it beside those of its buffer: the mapping that an address is of. */
  readonly story?: readonly TraceEvent[];
}

/** A place in a ring. */
export function ringPlace(ring: RingReport, place: Partial<FailurePlace>): FailurePlace {
  return { ...NO_PLACE, queue: ring.queue, ...place };
}

/** The slot of a position of this ring. */
export function slotAt({ layout, size }: RingReport, position: number): number {
  return layout === 'split' ? position & (size - 1) : slotOf(position);
}

/** A place of a ring in words: `queue 0, buffer 39, used slot 39 (used index 39)`, with what is known of it. */
export function describePlace(ring: RingReport, place: FailurePlace, before: readonly string[] = []): string {
  const { queue, buffer, slot, position } = place;
  const isSplit = ring.layout === 'split';
  const where = [
    ...before,
    `queue ${queue}`,
    ...(buffer === null ? [] : [`buffer ${buffer}`]),
    ...(slot === null ? [] : [`${isSplit ? 'used slot' : 'slot'} ${slot}${describePosition(ring, position)}`]),
  ];
  return where.join(', ');
}

function describePosition({ layout }: RingReport, position: number | null): string {
  if (position === null) return '';
  return layout === 'split' ? ` (used index ${position})` : ` (wrap counter ${position >>> 15})`;
}

/** `1 buffer`, `16 buffers`. */
export function count(number: number, noun: string, plural: string = `${noun}s`): string {
  return `${number} ${number === 1 ? noun : plural}`;
}

/** `slot 40` or `slots 40 to 43`. */
export function slots(noun: string, first: number, last: number): string {
  return first === last ? `${noun} ${first}` : `${noun}s ${first} to ${last}`;
}
