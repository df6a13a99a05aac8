import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { CodedError, messageOf } from '@virtio-platform/core';
import { Terminal, type TextStream } from '../terminal.ts';
import { REPORTERS, type ReporterChoice } from './reporter-choice.ts';
import type { Reporter, ReporterOptions } from './reporter.ts';

/** The reporters of one command as one. */
export interface OpenReporters extends Required<Reporter> {
  /** Closes the files. Returns what could not be written, once for each file. */
  close(): readonly CodedError[];
}

/**
 * Makes the reporters, and the files that they write to, with their folders. Throws {@link CodedError} `ERR_RUN_REPORT`
 * where a file cannot be made.
 */
export function openReporters(
  terminal: Terminal,
  choices: readonly ReporterChoice[],
  options: ReporterOptions,
): OpenReporters {
  const files: ReportFile[] = [];
  const close = (): readonly CodedError[] => files.flatMap((file) => file.close());
  const outputOf = (name: string | undefined): Terminal => {
    if (name === undefined) return terminal;
    const file = new ReportFile(resolve(terminal.cwd, name));
    files.push(file);
    return new Terminal({ stdout: file, stderr: file, cwd: terminal.cwd }, { color: false });
  };
  let reporters: readonly Reporter[];
  try {
    reporters = choices.map(({ name, file }) => REPORTERS[name](outputOf(file), options));
  } catch (error) {
    close();
    throw error;
  }
  return {
    begin: (plan) => reporters.forEach((reporter) => reporter.begin?.(plan)),
    ended: (run) => reporters.forEach((reporter) => reporter.ended?.(run)),
    amended: (run) => reporters.forEach((reporter) => reporter.amended?.(run)),
    end: (summary) => reporters.forEach((reporter) => reporter.end(summary)),
    close,
  };
}

/** A file that is written as the runs go on. An error while writing is kept, and ends nothing. */
class ReportFile implements TextStream {
  readonly #path: string;
  #descriptor: number | undefined;
  #error: CodedError | undefined;

  constructor(path: string) {
    this.#path = path;
    try {
      mkdirSync(dirname(path), { recursive: true });
      this.#descriptor = openSync(path, 'w');
    } catch (error) {
      throw this.#coded(error);
    }
  }

  write(text: string, done?: () => void): boolean {
    try {
      const bytes = Buffer.from(text);
      for (let at = 0; at < bytes.length && this.#descriptor !== undefined;)
        at += writeSync(this.#descriptor, bytes, at);
    } catch (error) {
      this.#error ??= this.#coded(error);
    }
    done?.();
    return true;
  }

  close(): readonly CodedError[] {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
    return this.#error === undefined ? [] : [this.#error];
  }

  #coded(error: unknown): CodedError {
    return new CodedError('ERR_RUN_REPORT', `${this.#path} cannot be written: ${messageOf(error)}`, {
      hint: 'give --reporter another file',
      cause: error,
    });
  }
}
