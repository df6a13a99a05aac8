import type { AddressRange } from '@virtio-platform/core';
import type { BufferInspection, Virtqueue } from '@virtio-platform/core/queue';
import type { FlightRecorder, TraceEvent } from '@virtio-platform/trace';
import type { FaultReport } from '../report/report.ts';
import { inspectRings, type RingReport } from '../report/ring-report.ts';

/** What is known of a run at the moment when something goes wrong, before the run goes on or ends. */
export interface FailureEvidence {
  readonly rings: readonly RingReport[];
  /** By queue: the buffers whose descriptors are known, the newest first. */
  readonly buffers: ReadonlyMap<number, readonly BufferInspection[]>;
  /** By queue: the device addresses of its descriptor, driver and device area. */
  readonly areas: ReadonlyMap<number, readonly bigint[]>;
  /** The accesses that were refused until then, and the errors of the device itself, the first ones. */
  readonly faults: readonly FaultReport[];
  /** Device addresses that are interrupts, and no memory. */
  readonly interrupts: readonly AddressRange[];
  readonly events: readonly TraceEvent[];
  /** Events before these. */
  readonly dropped: number;
}

/** Reads rings, descriptors and events. Cold. */
export function collectEvidence(
  queues: readonly Virtqueue[],
  recorder: FlightRecorder,
  known: Pick<FailureEvidence, 'faults' | 'interrupts'>,
): FailureEvidence {
  const { events, dropped } = recorder.read();
  const rings = inspectRings(queues);
  const buffers = new Map(queues.map((queue) => [queue.index, queue.inspectBuffers()]));
  const areas = new Map(queues.map(({ index, addresses: { words } }) => [index, areasOf(words)]));
  return { ...known, rings, buffers, areas, events, dropped };
}

function areasOf(words: Uint32Array): bigint[] {
  return [0, 2, 4].map((low) => (BigInt(words[low + 1]!) << 32n) | BigInt(words[low]!));
}
