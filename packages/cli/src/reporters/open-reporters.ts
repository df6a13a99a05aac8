import { resolve } from 'node:path';
import type { CodedError } from '@virtio-platform/core';
import { Terminal } from '../terminal.ts';
import { BlobReporter } from './blob-reporter.ts';
import { GithubReporter } from './github-reporter.ts';
import { JsonReporter } from './json-reporter.ts';
import { JunitReporter } from './junit-reporter.ts';
import { NdjsonReporter } from './ndjson-reporter.ts';
import { ReportFile } from './report-file.ts';
import type { ReporterChoice, ReporterName } from './reporter-choice.ts';
import type { Reporter, ReporterOptions } from './reporter.ts';
import { SarifReporter } from './sarif-reporter.ts';
import { TapReporter } from './tap-reporter.ts';
import { ListReporter } from './text/list-reporter.ts';
import { TableReporter } from './text/table-reporter.ts';

type MakeReporter = (terminal: Terminal, options: ReporterOptions) => Reporter;

/** The reporters by their names. */
const REPORTERS: Readonly<Record<ReporterName, MakeReporter>> = {
  list: (terminal, options) => new ListReporter(terminal, options),
  table: (terminal, options) => new TableReporter(terminal, options),
  json: (terminal) => new JsonReporter(terminal),
  ndjson: (terminal) => new NdjsonReporter(terminal),
  junit: (terminal, options) => new JunitReporter(terminal, options),
  tap: (terminal, options) => new TapReporter(terminal, options),
  sarif: (terminal, options) => new SarifReporter(terminal, options),
  github: (terminal, options) => new GithubReporter(terminal, options),
  blob: (terminal, { blob }) => new BlobReporter(terminal, blob),
};

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
