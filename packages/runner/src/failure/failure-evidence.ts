import type { BufferInspection, Virtqueue } from '@virtio-platform/core/queue';
import type { FlightRecorder, TraceEvent } from '@virtio-platform/trace';
import { inspectRings, type RingReport } from '../report/ring-report.ts';

/** What is known of a run at the moment when something goes wrong, before the run goes on or ends. */
export interface FailureEvidence {
  readonly rings: readonly RingReport[];
  /** By queue: the buffers whose descriptors are known, the newest first. */
  readonly buffers: ReadonlyMap<number, readonly BufferInspection[]>;
  readonly events: readonly TraceEvent[];
  /** Events before these. */
  readonly dropped: number;
}

/** Reads rings, descriptors and events. Cold. */
export function collectEvidence(queues: readonly Virtqueue[], recorder: FlightRecorder): FailureEvidence {
  const { events, dropped } = recorder.read();
  const rings = inspectRings(queues);
  const buffers = new Map(queues.map((queue) => [queue.index, queue.inspectBuffers()]));
  return { rings, buffers, events, dropped };
}
