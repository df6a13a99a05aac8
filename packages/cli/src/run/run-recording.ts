import type { FlightRecorder } from '@virtio-platform/trace';
import type { EndedRun } from '../reporters/reporter.ts';
import type { RunTrace } from './run-trace.ts';

/** What is kept of the events of each run of one command: for a trace file. */
export class RunRecording {
  readonly #trace: RunTrace | undefined;
  #recorder: FlightRecorder | undefined;

  constructor(trace: RunTrace | undefined) {
    this.#trace = trace;
  }

  /** Sentences for people, once the runs have ended. */
  get summaries(): readonly string[] {
    return this.#trace?.summary === undefined ? [] : [this.#trace.summary];
  }

  /** The recorder of the next run; `undefined` where nothing keeps its events. */
  recorder(): FlightRecorder | undefined {
    this.#recorder = this.#trace?.recorder();
    return this.#recorder;
  }

  /** The run that was given the last {@link recorder} has ended; one that could not begin has none. */
  ended({ planned }: EndedRun): void {
    if (this.#recorder !== undefined) this.#trace?.add(planned.run.name, this.#recorder);
    this.#recorder = undefined;
  }

  /** No run is made any more. */
  end(): void {
    this.#trace?.end();
  }
}
