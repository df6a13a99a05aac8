import { resolve } from 'node:path';
import type { CodedError } from '@virtio-platform/core';
import { Terminal } from '../terminal.ts';
import { ReportFile } from './report-file.ts';
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
    const file = new ReportFile(resolve(terminal.cwd, name), '--reporter');
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
