import { codedErrorOf, type CodedError } from '@virtio-platform/core';
import type { ProfileRun } from '@virtio-platform/runner';
import type { FlightRecorder } from '@virtio-platform/trace';
import type { EndedRun, RunSummary } from '../reporters/reporter.ts';
import type { RunPage } from './run-page.ts';
import type { PlannedRun } from './run-plan.ts';
import type { RunTrace } from './run-trace.ts';

/** What is kept of the events of each run of one command: for a trace file, for a page. */
export class RunRecording {
  readonly #trace: RunTrace | undefined;
  readonly #page: RunPage | undefined;
  readonly #printError: (error: CodedError) => unknown;
  #recorder: FlightRecorder | undefined;

  constructor(trace: RunTrace | undefined, page: RunPage | undefined, printError: (error: CodedError) => unknown) {
    this.#trace = trace;
    this.#page = page;
    this.#printError = printError;
  }

  /** Sentences for people, once the runs have ended. */
  get summaries(): readonly string[] {
    return this.#trace?.summary === undefined ? [] : [this.#trace.summary];
  }

  /** The recorder of the next run; `undefined` where nothing keeps its events. That of a page serves a trace, too. */
  recorder(): FlightRecorder | undefined {
    this.#recorder = this.#page?.openRecorder() ?? this.#trace?.recorder();
    return this.#recorder;
  }

  /** A run that was given the last {@link recorder} goes on. */
  watch(run: ProfileRun): void {
    this.#page?.watch(run);
  }

  /** The run has ended, or could not begin: then it has no recorder. */
  ended(run: EndedRun<PlannedRun>): void {
    if (this.#recorder !== undefined) this.#trace?.add(run.planned.run.name, this.#recorder);
    this.#recorder = undefined;
    this.#page?.ended(run);
  }

  /** A run that ended earlier has another report. */
  amended(run: EndedRun): void {
    this.#page?.amended(run);
  }

  /** No run is made any more. A disk that is full leaves the runs as they were. */
  end({ earlyEnd }: Pick<RunSummary, 'earlyEnd'>): void {
    this.#trace?.end();
    try {
      this.#page?.end(earlyEnd?.reason);
    } catch (error) {
      this.#printError(codedErrorOf(error));
    }
  }
}
