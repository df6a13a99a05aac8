import type { TraceEvent } from '@virtio-platform/trace';
import type { RingReport } from '../report/ring-report.ts';
import type { FailureEvidence } from './failure-evidence.ts';

/** A used buffer that the driver took back, by the flight recorder. */
export interface TakenBuffer {
  readonly event: TraceEvent;
  readonly id: number;
  /** Of a split ring the used index, `undefined` in a packed ring. */
  readonly position: number | undefined;
}

/** The used buffers that the driver took back from a queue as far as the recorder kept them, the oldest first. */
export function takenBuffers({ events }: FailureEvidence, { queue, layout }: RingReport): TakenBuffer[] {
  const taken = events.filter((event) => event.kind === 'takeUsed' && event.queue === queue);
  // Each event of a batch has the position behind the batch.
  let end = taken.length;
  return taken
    .toReversed()
    .map((event, back) => {
      const at = taken.length - 1 - back;
      if (taken[at + 1]?.extra !== event.extra) end = at + 1;
      const position = layout === 'split' ? (event.extra - (end - at)) & 0xffff : undefined;
      return { event, id: event.id, position };
    })
    .toReversed();
}

/** Where a buffer that is not with the device came back last, and whether the driver added it since. */
export function lastReturn(evidence: FailureEvidence, ring: RingReport, id: number): TakenBuffer | undefined {
  return takenBuffers(evidence, ring).findLast((taken) => taken.id === id);
}

/** Whether the driver ever added a buffer with this id; `undefined` where the recorder forgot too much. */
export function wasAdded({ events, dropped }: FailureEvidence, { queue }: RingReport, id: number): boolean | undefined {
  const isAdded = events.some((event) => event.kind === 'add' && event.queue === queue && event.id === id);
  return isAdded || dropped === 0 ? isAdded : undefined;
}
