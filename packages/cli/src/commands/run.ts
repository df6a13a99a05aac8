import { CodedError, codedErrorOf, printable } from '@virtio-platform/core';
import { sweepTemporaryFolders } from '@virtio-platform/host';
import {
  blamePlugin,
  displayPath,
  type NamedRun,
  type ProfileSource,
  type ResolutionOptions,
} from '@virtio-platform/profile';
import { checkRuns, distinctErrors, type CheckedRun } from '../checked-runs.ts';
import { ExitStatus, worstStatus } from '../exit-status.ts';
import type { Interruption } from '../interruption.ts';
import { isolate } from '../isolate.ts';
import { printError } from '../print-error.ts';
import { openReporters } from '../reporters/open-reporters.ts';
import type { ReporterChoice } from '../reporters/reporter-choice.ts';
import type { ReporterOptions } from '../reporters/reporter.ts';
import { againCommand, commandLine } from '../run/again-command.ts';
import { profileSources, type TextInput } from '../run/profile-sources.ts';
import { Progress } from '../run/progress.ts';
import { planRuns } from '../run/run-plan.ts';
import type { RunPage } from '../run/run-page.ts';
import { RunRecording } from '../run/run-recording.ts';
import { RunSequence } from '../run/run-sequence.ts';
import { RunTrace } from '../run/run-trace.ts';
import { embeddedProfiles } from '../shipped-profiles.ts';
import type { Terminal } from '../terminal.ts';

/** The options of `run`. */
export interface RunCommandOptions {
  /** At least one. */
  readonly reporters: readonly ReporterChoice[];
  /** Runs whose names it refuses are not made. */
  readonly filter: (name: string) => boolean;
  readonly bail: number | undefined;
  readonly seed: number | undefined;
  readonly repeat: number | undefined;
  /** `path=value`, laid over each profile. */
  readonly set: readonly string[];
  readonly quiet: boolean;
  readonly verbose: boolean;
  /** Whether every run is under the DMA sanitizer, also where its profile does not say so. */
  readonly sanitize: boolean;
  /** The file that the events of all runs are written to. */
  readonly trace?: string | undefined;
  /** The page to write for people. */
  readonly report?: string | undefined;
  /** The words of the command line, and the version of the command, as the page shows them. */
  readonly command: readonly string[];
  readonly version: string;
  /** Whether people are shown the stack of what made a run fail. */
  readonly stack: boolean;
  /** Which plugins the profiles may use. */
  readonly plugins: ResolutionOptions;
  /** Where the profile `-` comes from. */
  readonly input: TextInput | undefined;
  readonly interruption: Interruption;
}

/**
 * `run [profile...]`: all profiles are checked, with every run of theirs, before the first one runs; where one is
 * wrong, in its text, an option or the name of a plugin, none runs. Each run is told of as it ends. After a signal the
 * runs that ended are reported, and the others are not made. Throws coded errors.
 */
export async function runCommand(
  terminal: Terminal,
  words: readonly string[],
  options: RunCommandOptions,
): Promise<ExitStatus> {
  const [startedAt, start] = [new Date(), performance.now()];
  const { reporters, interruption, plugins, sanitize, bail } = options;
  const shown = reporters.filter(({ file }) => file === undefined).map(({ name }) => name);
  const asJson = shown.some((name) => name === 'json' || name === 'ndjson');
  const place = asJson ? 'none' : shown.some((name) => name === 'list' || name === 'table') ? 'output' : 'errors';
  const tell = (error: CodedError): ExitStatus => printError(terminal, error, asJson);
  const progress = new Progress(terminal, place);
  try {
    interruption.await();
    sweepTemporaryFolders();
    const given = await profileSources(words, terminal.cwd, options.input);
    const {
      runs,
      namesOf,
      status: checked,
    } = await checkAll(given.length > 0 ? given : embeddedProfiles(), options, progress, {
      cwd: terminal.cwd,
      tell,
    });
    if (runs.some(isOfProfile)) return checked;
    const plan = planRuns(runs, options);
    const trace = options.trace === undefined ? undefined : new RunTrace(options.trace, terminal, plan.length, tell);
    const shownAs = reporterOptions(terminal, namesOf, options);
    const page = await pageOf(options, terminal.cwd, plan.length, shownAs);
    const recording = new RunRecording(trace, page, tell);
    const opened = openReporters(terminal, reporters, shownAs);
    const ways = { plugins, sanitize, bail, interruption, progress, recording, printError: tell };
    const sequence = new RunSequence(opened, ways);
    const made = await sequence.make(plan);
    progress.end();
    recording.end(made);
    opened.end({ ...made, startedAt, durationMs: performance.now() - start });
    if (!asJson) for (const line of recording.summaries) terminal.printSentence(0, line);
    // As with the standard output, what became of it leaves the status alone.
    for (const error of opened.close()) tell(error);
    return worstStatus(checked, sequence.status);
  } finally {
    progress.end();
  }
}

async function pageOf(
  { report: file, command, version: toolVersion }: RunCommandOptions,
  cwd: string,
  runs: number,
  { again }: ReporterOptions,
): Promise<RunPage | undefined> {
  if (file === undefined) return undefined;
  const { RunPage } = await import('../run/run-page.ts');
  return new RunPage({ file, cwd, command: commandLine(['virtio-platform', ...command]), again, toolVersion }, runs);
}

function reporterOptions(
  { cwd }: Terminal,
  namesOf: NamesOfProfiles,
  { quiet, verbose, stack, seed, repeat, set, sanitize }: RunCommandOptions,
): ReporterOptions {
  const local = (path: string): string => displayPath(path, cwd).replaceAll('\\', '/');
  return {
    quiet,
    verbose,
    stack,
    local,
    showsSeeds: seed !== undefined || repeat !== undefined,
    again: ({ report }) => againCommand(report, namesOf.get(report.file)?.size === 1, { set, sanitize, local }),
  };
}

/** Whether what is wrong is in the profile: its text, an option, or a plugin that is not there. */
function isOfProfile({ run, error }: CheckedRun): boolean {
  return run === undefined || error?.code === 'ERR_PLUGIN_OPTIONS' || error?.code === 'ERR_PLUGIN_NOT_FOUND';
}

/** By file: the names of all runs of a profile, also those that a filter leaves out. */
type NamesOfProfiles = ReadonlyMap<string, ReadonlySet<string>>;

/** Where a check says what is wrong. */
interface CheckOutput {
  readonly cwd: string;
  readonly tell: (error: CodedError) => ExitStatus;
}

/** So many profiles take long to check; a few are checked without a word, so that an error stands alone. */
const MANY_PROFILES = 5;

/**
 * Checks the runs of every profile, with their plugins and options, and tells of each error. Throws {@link CodedError}
 * `ERR_RUN_FILTER` where no run is wanted.
 */
async function checkAll(
  sources: readonly ProfileSource[],
  { plugins, set, filter, interruption }: RunCommandOptions,
  progress: Progress,
  { cwd, tell }: CheckOutput,
): Promise<{ runs: readonly CheckedRun[]; namesOf: NamesOfProfiles; status: ExitStatus }> {
  const checked: CheckedRun[] = [];
  const namesOf = new Map<string, Set<string>>();
  let status: ExitStatus = ExitStatus.AsExpected;
  for (const [at, source] of sources.entries()) {
    if (interruption.name !== undefined) break;
    if (sources.length >= MANY_PROFILES) progress.begin(`checking profile ${at + 1} of ${sources.length}`);
    let first: { readonly thrown: unknown } | undefined;
    const coded = (thrown: unknown): CodedError => {
      first = { thrown };
      return codedErrorOf(thrown);
    };
    const body = (): Promise<readonly CheckedRun[]> => checkRuns(source, { ...plugins, set, baseDirectory: cwd });
    const { value: all = [], error: stray } = await isolate(body, coded);
    for (const { run } of all) {
      if (run !== undefined) namesOf.set(run.file, (namesOf.get(run.file) ?? new Set()).add(run.name));
    }
    const found = all.filter(({ run }) => run === undefined || filter(run.name));
    const named = (run: NamedRun | undefined): CodedError | undefined =>
      run === undefined || first === undefined ? stray : blamePlugin(first.thrown, run, plugins);
    const runs = found.map((run) => ({ ...run, error: run.error ?? named(run.run) }));
    const errors = stray !== undefined && all.length === 0 ? [stray] : distinctErrors(runs);
    for (const error of errors) status = worstStatus(status, tell(error));
    checked.push(...runs);
    if (all.length === 0) checked.push({ run: undefined, profile: undefined, error: stray });
  }
  const names = [...namesOf.values()].flatMap((ofFile) => [...ofFile]);
  if (checked.length === 0 && names.length > 0) throw nothingLeft(names);
  return { runs: checked, namesOf, status };
}

/** The most names that an error lists. */
const MOST_NAMES = 20;

function nothingLeft(names: readonly string[]): CodedError {
  const more = names.length > MOST_NAMES ? `, and ${names.length - MOST_NAMES} more` : '';
  const list = names.slice(0, MOST_NAMES).map(printable).join(', ');
  return new CodedError('ERR_RUN_FILTER', `--filter leaves none of the runs: ${list}${more}`, {
    hint: 'give a part of a name; * stands for any characters, and /.../ is a regular expression',
  });
}
