import { closeSync, fstatSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { CodedError, messageOf } from '@virtio-platform/core';
import { FlightRecorder } from '../flight-recorder.ts';
import { emitChromeEvents } from './chrome-events.ts';

/** Events that are kept of a run, where there are few runs: 10 MiB of memory, up to 40 MiB of the file. */
const MOST_OF_RUN = 2 ** 17;
/** Events that are kept of all runs together. */
const MOST_OF_ALL = 2 ** 20;
/** Events that are kept of a run, however many there are. */
const LEAST_OF_RUN = 2 ** 12;
/** Characters that are written at once. */
const CHUNK = 2 ** 20;

/** What the file says of itself, so that it is known when it is read back. */
export const TRACE_FORMAT = 'virtio-platform-trace';
/** Counts the changes of {@link TRACE_FORMAT} that an older reader does not understand. */
export const TRACE_VERSION = 1;

/** A run as the end of a trace file lists it. */
export interface TracedRun {
  readonly name: string;
  /** From 1: the process of the run. */
  readonly pid: number;
  /** Events that are in the file. */
  readonly events: number;
  /** Events before them that are not. */
  readonly dropped: number;
}

/**
 * A trace as Perfetto reads it: the JSON format of Chrome, with a process for each run and a track for each part of it.
 * Each run is written as it ends, and what is written is a whole file each time, so that one that is cut off has the
 * runs before.
 */
export class TraceFile {
  readonly path: string;
  readonly #descriptor: number;
  readonly #capacity: number;
  readonly #isSeekable: boolean;
  readonly #startedAt = performance.now();
  readonly #runs: TracedRun[] = [];
  /** Where the next event is written, if the file is one that bytes have places in. */
  #end = 0;
  #hasEvents = false;
  #isClosed = false;

  /**
   * Makes the file, for so many runs: the more there are, the fewer events are kept of each. Throws `CodedError`
   * `ERR_TRACE_FILE`.
   */
  constructor(path: string, runs: number = 1) {
    this.path = path;
    this.#capacity = Math.min(MOST_OF_RUN, Math.max(LEAST_OF_RUN, 2 ** Math.floor(Math.log2(MOST_OF_ALL / runs))));
    this.#descriptor = this.#orThrow('made', () => openSync(path, 'w'));
    this.#isSeekable = fstatSync(this.#descriptor).isFile();
    this.#write('{"traceEvents":[');
    this.#writeEnd();
  }

  /** A recorder of all that can be recorded, for one run. */
  recorder(): FlightRecorder {
    return new FlightRecorder(this.#capacity, { detail: 'full' });
  }

  /** Writes a run that has ended. Throws `CodedError` `ERR_TRACE_FILE`. */
  add(name: string, recorder: FlightRecorder): TracedRun {
    const trace = recorder.read();
    const { dropped } = trace;
    const run = { name, pid: this.#runs.length + 1, events: trace.events.length, dropped };
    const offset = Math.max(0, (recorder.startedAt - this.#startedAt) * 1000);
    let chunk = '';
    emitChromeEvents(trace, { ...run, offset }, (event) => {
      chunk += `${this.#hasEvents ? ',\n' : '\n'}${JSON.stringify(event)}`;
      this.#hasEvents = true;
      if (chunk.length < CHUNK) return;
      this.#write(chunk);
      chunk = '';
    });
    this.#write(chunk);
    this.#runs.push(run);
    this.#writeEnd();
    return run;
  }

  /** What was written so far. */
  get runs(): readonly TracedRun[] {
    return this.#runs;
  }

  /** Ends the file. A second call does nothing. Throws `CodedError` `ERR_TRACE_FILE`. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    try {
      if (!this.#isSeekable) this.#write(this.#lastWords);
    } finally {
      closeSync(this.#descriptor);
    }
  }

  get #lastWords(): string {
    const otherData = { format: TRACE_FORMAT, version: TRACE_VERSION, runs: this.#runs };
    return `\n],"displayTimeUnit":"ns","otherData":${JSON.stringify(otherData)}}\n`;
  }

  /** Ends the file for now: the next run takes the place of the end. */
  #writeEnd(): void {
    if (!this.#isSeekable) return;
    const end = this.#end;
    this.#write(this.#lastWords);
    this.#orThrow('written', () => ftruncateSync(this.#descriptor, this.#end));
    this.#end = end;
  }

  #write(text: string): void {
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length;) {
      const position = this.#isSeekable ? this.#end : null;
      const written = this.#orThrow('written', () =>
        writeSync(this.#descriptor, bytes, at, bytes.length - at, position),
      );
      at += written;
      this.#end += written;
    }
  }

  #orThrow<T>(what: string, body: () => T): T {
    try {
      return body();
    } catch (cause) {
      throw new CodedError('ERR_TRACE_FILE', `the trace cannot be ${what}: ${messageOf(cause)}`, {
        hint: `name a file that this user may write to, in a folder that exists`,
        cause,
      });
    }
  }
}
