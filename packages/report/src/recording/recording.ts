import type { LatencySummary, TraceEvent } from '@virtio-platform/trace';
import type { ActivitySummary } from './activity.ts';
import { bufferSlices, type BufferSlice } from './buffer-slices.ts';
import type { ReportRecorder } from './report-recorder.ts';
import { slotPlaces, type SlotPlace } from './slot-places.ts';

/** What the page shows of the events of one run. Times in microseconds on the clock of the recorder. */
export interface Recording {
  /** In order; all of the run where their number is {@link count}. */
  readonly events: readonly TraceEvent[];
  /** Events in all. */
  readonly count: number;
  readonly slices: readonly BufferSlice[];
  /** Where buffers stand in their ring, by {@link BufferSlice.index}. */
  readonly places: ReadonlyMap<number, SlotPlace>;
  readonly activity: ActivitySummary;
  /** Of all buffers; `undefined` where none came back. */
  readonly latency: LatencySummary | undefined;
}

/** Reads a recorder once its run has ended. `layout` is that of the queues. */
export function readRecording(recorder: ReportRecorder, layout: 'split' | 'packed' = 'split'): Recording {
  const { events, count } = recorder.kept();
  const { activity, latency } = recorder;
  return { events, count, slices: bufferSlices(events), places: slotPlaces(events, layout), activity, latency };
}
