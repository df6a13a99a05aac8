import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { CodedError, messageOf } from '@virtio-platform/core';
import type { NamedRun, Profile } from '@virtio-platform/profile';
import {
  MOST_DETAILED,
  readRecording,
  recordedEvents,
  reportPage,
  ReportRecorder,
  type ReportedRun,
} from '@virtio-platform/report';
import type { ProfileRun, RunReport } from '@virtio-platform/runner';

/** What the page of a command is made with. */
export interface RunPageOptions {
  /** The page, relative to `cwd`. */
  readonly file: string;
  readonly cwd: string;
  /** The command line that makes the runs. */
  readonly command: string;
  /** The command line that makes one of them again. */
  readonly again: (file: string) => string;
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
  #share = recordedEvents(1);
  #recorder: ReportRecorder | undefined;
  #known: KnownOfRun = {};
  #earlyEnd: string | undefined = 'interrupted';
  #isWritten = false;

  /** Throws {@link CodedError} `ERR_REPORT_FILE` where the page cannot be there. */
  constructor(options: RunPageOptions) {
    this.#options = options;
    this.#path = resolve(options.cwd, options.file);
    checkPlace(this.#path, options.file);
  }

  readonly #onExit = (): void => {
    try {
      this.#write();
    } catch (error) {
      process.stderr.write(`${messageOf(error)}\n`);
    }
  };

  /** So many runs are to be made. */
  begin(runs: number): void {
    this.#share = recordedEvents(runs);
    // Ctrl-C exits, and leaves what has ended until then.
    process.once('exit', this.#onExit);
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
  ended(run: NamedRun, profile: Profile | undefined, report: RunReport): void {
    const file = this.#local(profile?.file ?? run.platform.location.file);
    const isSampled = this.#runs.length >= MOST_DETAILED && report.differences.length === 0;
    const recording =
      this.#recorder === undefined || isSampled ? undefined : readRecording(this.#recorder, report.queue?.layout);
    this.#runs.push({
      report,
      file,
      summary: profile?.summary ?? '',
      seed: profile?.workload.seed,
      command: this.#options.again(file),
      ...this.#known,
      recording,
    });
    this.#recorder = undefined;
    this.#known = {};
  }

  /** The run that was number `at` to end has another report. */
  amend(at: number, report: RunReport): void {
    const run = this.#runs[at];
    if (run !== undefined) this.#runs[at] = { ...run, report };
  }

  /** All runs were made. Writes the page; throws {@link CodedError} `ERR_REPORT_FILE` where it cannot be written. */
  end(): void {
    this.#earlyEnd = undefined;
    process.off('exit', this.#onExit);
    this.#write();
  }

  #write(): void {
    if (this.#isWritten) return;
    this.#isWritten = true;
    const { command, toolVersion, file } = this.#options;
    const profiles = new Map(this.#runs.map((run) => [run.file, textOf(resolve(this.#options.cwd, run.file))]));
    const page = reportPage({
      runs: this.#runs,
      profiles,
      command,
      toolVersion,
      startedAt: this.#startedAt,
      earlyEnd: this.#earlyEnd,
    });
    try {
      writeFileSync(this.#path, page);
    } catch (cause) {
      throw fileError(`cannot write the report ${file}: ${messageOf(cause)}`, 'choose a file that can be written');
    }
  }

  /** A path as people write it in this folder. */
  #local(path: string): string {
    const local = relative(this.#options.cwd, path);
    return local.startsWith('..') ? path : local;
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

/** A command line that a shell splits into these words. */
export function commandLine(words: readonly string[]): string {
  return words
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`))
    .join(' ');
}
