import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { CodedError, messageOf } from '@virtio-platform/core';
import { displayPath } from '@virtio-platform/profile';
import {
  MOST_DETAILED,
  readRecording,
  recordedEvents,
  reportPage,
  ReportRecorder,
  type ReportedRun,
} from '@virtio-platform/report';
import type { ProfileRun } from '@virtio-platform/runner';
import type { EndedRun } from '../reporters/reporter.ts';
import type { PlannedRun } from './run-plan.ts';

/** What the page of a command is made with. */
export interface RunPageOptions {
  /** The page, relative to `cwd`. */
  readonly file: string;
  readonly cwd: string;
  /** The command line that makes the runs. */
  readonly command: string;
  /** The command line that makes one of them again, with its seed. */
  readonly again: (run: EndedRun) => string;
  readonly toolVersion: string;
}

/** What is known of a run that goes on. */
type KnownOfRun = { -readonly [Key in 'memory' | 'negotiation' | 'addresses']?: ReportedRun[Key] };

/** The page of `run --report`: watches the runs, and is written once, whatever ends the command. */
export class RunPage {
  readonly #options: RunPageOptions;
  readonly #path: string;
  readonly #startedAt = new Date();
  readonly #runs: ReportedRun[] = [];
  readonly #share: number;
  #recorder: ReportRecorder | undefined;
  #known: KnownOfRun = {};

  /** For so many runs. Throws {@link CodedError} `ERR_REPORT_FILE` where the page cannot be there. */
  constructor(options: RunPageOptions, runs: number) {
    this.#options = options;
    this.#share = recordedEvents(runs);
    this.#path = resolve(options.cwd, options.file);
    checkPlace(this.#path, options.file);
  }

  /** The recorder of the next run. */
  openRecorder(): ReportRecorder {
    this.#known = {};
    return (this.#recorder = new ReportRecorder(this.#share));
  }

  /** Watches a run that was started with {@link openRecorder}. */
  watch(run: ProfileRun): void {
    const known = this.#known;
    run.on('booted', ({ memory }) => (known.memory = memory));
    run.on('negotiated', ({ account }) => (known.negotiation = account));
    run.on('addresses', ({ isRestricted, ranges }) => (known.addresses = { isRestricted, ranges }));
  }

  /** A run has ended, or could not begin. */
  ended(run: EndedRun<PlannedRun>): void {
    const { planned, report } = run;
    const isSampled = this.#runs.length >= MOST_DETAILED && report.differences.length === 0;
    const recording =
      this.#recorder === undefined || isSampled ? undefined : readRecording(this.#recorder, report.queue?.layout);
    this.#runs.push({
      report,
      file: this.#local(report.file),
      summary: planned.profile?.summary ?? '',
      seed: report.seed,
      command: this.#options.again(run),
      ...this.#known,
      recording,
    });
    this.#recorder = undefined;
    this.#known = {};
  }

  /** A run that ended earlier has another report. */
  amended({ report }: EndedRun): void {
    const at = this.#runs.findIndex((run) => run.report.profile === report.profile);
    const run = this.#runs[at];
    if (run !== undefined) this.#runs[at] = { ...run, report };
  }

  /**
   * No run is made any more: writes the page. `earlyEnd` says why runs were not made. Throws {@link CodedError}
   * `ERR_REPORT_FILE` where the page cannot be written.
   */
  end(earlyEnd: string | undefined): void {
    const { command, toolVersion, file, cwd } = this.#options;
    const profiles = new Map(this.#runs.map((run) => [run.file, textOf(resolve(cwd, run.file))]));
    const page = reportPage({
      runs: this.#runs,
      profiles,
      command,
      toolVersion,
      startedAt: this.#startedAt,
      earlyEnd,
    });
    try {
      writeFileSync(this.#path, page);
    } catch (cause) {
      throw fileError(`cannot write the report ${file}: ${messageOf(cause)}`, 'choose a file that can be written');
    }
  }

  /** A path as people write it in this folder. */
  #local(path: string): string {
    return displayPath(path, this.#options.cwd);
  }
}

function checkPlace(path: string, file: string): void {
  const folder = dirname(path);
  if (!existsSync(folder) || !statSync(folder).isDirectory())
    throw fileError(`there is no folder for the report ${file}`, `make ${folder} first`);
  if (existsSync(path) && statSync(path).isDirectory())
    throw fileError(`the report ${file} is a folder`, 'name a file in it');
}

function fileError(message: string, hint: string): CodedError {
  return new CodedError('ERR_REPORT_FILE', message, { hint });
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
