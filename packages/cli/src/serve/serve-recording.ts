import { resolve } from 'node:path';
import type { DeviceTypePlugin } from '@virtio-platform/core';
import { describeEvent } from '@virtio-platform/runner';
import type { ServedRecording, ServeEvent } from '@virtio-platform/serve';
import { FlightRecorder, KIND, TraceFile, watchDevice } from '@virtio-platform/trace';
import type { ReportRecorder } from '@virtio-platform/report';
import { misbehaviorText } from './misbehavior-text.ts';

/** An event of the flight recorder, as people read it: milliseconds before the last one. */
export interface ToldEvent {
  readonly before: number;
  readonly text: string;
}

/** Events that a finding is told with. */
const MOST_TOLD = 8;
/** How many of the last ones are looked through for those of a queue. */
const LOOKED_AT = 64;

/** What is recorded of a device that is served: for a trace file, for a page, and to be told with what is wrong. */
export class ServeRecording {
  /** What the device is recorded with. */
  readonly device: ServedRecording;
  readonly #recorder: FlightRecorder;
  readonly #trace: TraceFile | undefined;
  readonly #type: Pick<DeviceTypePlugin, 'features'>;

  /**
   * `trace` is the path of a file, and `page` the recorder of a page; without both the flight recorder alone runs.
   * Throws `CodedError` `ERR_TRACE_FILE`.
   */
  constructor(
    type: Pick<DeviceTypePlugin, 'features'>,
    { trace, page, cwd }: { readonly trace?: string | undefined; readonly page?: ReportRecorder; readonly cwd: string },
  ) {
    this.#type = type;
    this.#trace = trace === undefined ? undefined : new TraceFile(resolve(cwd, trace));
    this.#recorder = page ?? this.#trace?.recorder() ?? new FlightRecorder();
    const recorder = this.#recorder;
    this.device = {
      ...watchDevice(recorder),
      kicked(queue, count) {
        recorder.tick();
        recorder.mark(KIND.notify, queue, 0, count, 0);
      },
    };
  }

  /** Records what happened beside the rings. */
  note(event: ServeEvent): void {
    const recorder = this.#recorder;
    switch (event.kind) {
      case 'negotiated':
        return recorder.note(
          KIND.negotiation,
          -1,
          0,
          `accepted ${event.accepted.names(this.#type.features).join(', ')}`,
        );
      case 'queue-started':
        return recorder.mark(KIND.enableQueue, event.queue, 0, 0, event.size);
      case 'queue-stopped':
        return recorder.mark(KIND.resetQueue, event.queue, 0, 0, 0);
      case 'reset':
        return recorder.note(KIND.status, -1, 1, 'the front-end resets the device');
      case 'connected':
      case 'disconnected':
        return recorder.note(KIND.status, -1, 1, `the front-end ${event.kind}`);
      case 'finding': {
        const { code, what, queue = -1, buffer = -1 } = event.finding;
        return recorder.note(KIND.finding, queue, buffer, `${code}: ${what}`);
      }
      case 'misbehaved':
        return recorder.note(KIND.failure, event.queue, event.buffer ?? -1, `on purpose: ${misbehaviorText(event)}`);
      case 'problem':
        return recorder.note(KIND.failure, -1, 0, `the ${event.by} ${event.text}`);
      default:
    }
  }

  /** The last events of a queue, and of the device; the oldest first. */
  last(queue: number | undefined): readonly ToldEvent[] {
    const { events } = this.#recorder.read(LOOKED_AT);
    const own = events.filter((event) => queue === undefined || event.queue === queue || event.queue < 0);
    const told = own.slice(-MOST_TOLD);
    const end = told.at(-1)?.time ?? 0;
    return told.map((event) => ({ before: (end - event.time) / 1000, text: describeEvent(event) }));
  }

  /** Writes the trace, under the name of the run. Throws `CodedError` `ERR_TRACE_FILE`. */
  end(name: string): string | undefined {
    if (this.#trace === undefined) return undefined;
    const { events, dropped } = this.#trace.add(name, this.#recorder);
    this.#trace.close();
    const without = dropped === 0 ? '' : `, without the first ${dropped}`;
    return `${this.#trace.path} has ${events} events${without}. Open it at ui.perfetto.dev.`;
  }
}
