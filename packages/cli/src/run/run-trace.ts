import { resolve } from 'node:path';
import { codedErrorOf, printable, type CodedError } from '@virtio-platform/core';
import { displayPath } from '@virtio-platform/profile';
import { TraceFile, type FlightRecorder } from '@virtio-platform/trace';
import type { Terminal } from '../terminal.ts';

/** The trace file of `run --trace FILE`. A disk that is full ends the trace, and not the runs. */
export class RunTrace {
  readonly #file: TraceFile;
  readonly #path: string;
  readonly #printError: (error: CodedError) => unknown;
  #hasFailed = false;

  /** Makes the file, for so many runs. Throws `CodedError` `ERR_TRACE_FILE`. */
  constructor(path: string, { cwd }: Terminal, runs: number, printError: (error: CodedError) => unknown) {
    this.#file = new TraceFile(resolve(cwd, path), runs);
    this.#path = displayPath(this.#file.path, cwd);
    this.#printError = printError;
  }

  /** For one run. */
  recorder(): FlightRecorder {
    return this.#file.recorder();
  }

  /** Writes a run that has ended. */
  add(name: string, recorder: FlightRecorder): void {
    this.#try(() => this.#file.add(name, recorder));
  }

  /** Ends the file. */
  end(): void {
    this.#try(() => this.#file.close());
  }

  /** Where the trace is, what opens it, and what is not in it; `undefined` where it could not be written. */
  get summary(): string | undefined {
    if (this.#hasFailed) return undefined;
    const { runs } = this.#file;
    const events = runs.reduce((sum, run) => sum + run.events, 0);
    const cut = runs.filter(({ dropped }) => dropped > 0);
    const dropped = cut.reduce((sum, run) => sum + run.dropped, 0);
    const of = cut.length === 1 ? 'one run' : `${cut.length} runs`;
    const without = dropped === 0 ? '' : `, without the first ${dropped} of ${of}`;
    return `${printable(this.#path)} has ${events} events${without}. Open it at ui.perfetto.dev.`;
  }

  #try(step: () => unknown): void {
    if (this.#hasFailed) return;
    try {
      step();
    } catch (error) {
      this.#hasFailed = true;
      this.#printError(codedErrorOf(error));
    }
  }
}
