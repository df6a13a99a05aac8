import type { CodedError } from '@virtio-platform/core';
import { sweepTemporaryFolders } from '@virtio-platform/host';
import { displayPath, type ResolutionOptions } from '@virtio-platform/profile';
import { blobSource } from '../blob/blob-source.ts';
import { portablePath } from '../blob/portable-path.ts';
import type { CheckedRun } from '../checked-runs.ts';
import { endWithParent } from '../child-command.ts';
import { ExitStatus, worstStatus } from '../exit-status.ts';
import type { Interruption } from '../interruption.ts';
import { printError } from '../print-error.ts';
import { openReporters } from '../reporters/open-reporters.ts';
import { audienceOf, type ReporterChoice } from '../reporters/reporter-choice.ts';
import type { ReporterOptions } from '../reporters/reporter.ts';
import { againCommand, commandLine } from '../run/again-command.ts';
import { checkProfiles, type NamesOfProfiles } from '../run/check-profiles.ts';
import { profileSources, type TextInput } from '../run/profile-sources.ts';
import { Progress } from '../run/progress.ts';
import { placesOf } from '../run/run-part.ts';
import { errorsOfPlan, planRuns, type PlannedRun } from '../run/run-plan.ts';
import type { RunJobs } from '../run/run-arguments.ts';
import type { RunPage } from '../run/run-page.ts';
import { RunRecording } from '../run/run-recording.ts';
import { RunSequence } from '../run/run-sequence.ts';
import { SharedSequence } from '../run/shared-sequence.ts';
import { RunTrace } from '../run/run-trace.ts';
import { WHOLE, type Shard } from '../shard.ts';
import { embeddedProfiles, shippedFolder } from '../shipped-profiles.ts';
import type { Terminal } from '../terminal.ts';

/** The options of `run`. */
export interface RunCommandOptions {
  /** At least one. */
  readonly reporters: readonly ReporterChoice[];
  /** Runs whose names it refuses are not made. */
  readonly filter: (name: string) => boolean;
  /** The part of the runs that is made. */
  readonly shard?: Shard | undefined;
  /** The processes that share the runs; `undefined` where this one makes them. */
  readonly jobs?: RunJobs | undefined;
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
  /** Called where a run is long. */
  readonly beforeLongRuns?: (() => void) | undefined;
}

/**
 * Requests of a long run. In the shipped profiles, of 500 to 4,000 requests, compiling the larger loops took a third of
 * the processor time of all runs, and a request gains some ten nanoseconds.
 */
const LONG_RUN = 1_000_000;

/**
 * `run [profile...]`: all profiles are checked, with every run of theirs, before the first one runs; where one is
 * wrong, in its text, an option or the name of a plugin, none runs. Of several shards each checks all of them, and
 * makes its own part. Each run is told of as it ends. After a signal the runs that ended are reported, and the others
 * are not made. Throws coded errors.
 */
export async function runCommand(
  terminal: Terminal,
  words: readonly string[],
  options: RunCommandOptions,
): Promise<ExitStatus> {
  const [startedAt, start] = [new Date(), performance.now()];
  const { reporters, interruption, plugins, sanitize, bail, jobs, shard = WHOLE } = options;
  const { cwd } = terminal;
  const { asJson, progress: place } = audienceOf(reporters);
  const tell = (error: CodedError): ExitStatus => printError(terminal, error, asJson);
  const tellAll = (errors: readonly CodedError[]): ExitStatus =>
    errors.map(tell).reduce(worstStatus, ExitStatus.AsExpected);
  const progress = new Progress(terminal, place);
  try {
    interruption.await();
    if (options.shard !== undefined) endWithParent();
    sweepTemporaryFolders();
    const given = await profileSources(words, cwd, options.input);
    const sources = given.length > 0 ? given : embeddedProfiles();
    const { runs, namesOf, errors } = await checkProfiles(sources, { ...options, progress, cwd });
    if (runs.some(isOfProfile)) return tellAll(errors);
    const whole = planRuns(runs, options);
    const folders = { cwd, shipped: shippedFolder() };
    const keys = whole.map(({ run: { file, name } }) => ({ file: portablePath(file, folders), name }));
    const plan = placesOf(keys, shard).map((at) => whole[at]!);
    const checked = tellAll(errorsOfPlan(plan));
    if (plan.some(({ profile }) => (profile?.workload.requests ?? 0) >= LONG_RUN)) options.beforeLongRuns?.();
    const trace = options.trace === undefined ? undefined : new RunTrace(options.trace, terminal, plan.length, tell);
    const shownAs = reporterOptions(options, { whole, shard, folders, startedAt, namesOf });
    const page = await pageOf(options, cwd, plan.length, shownAs);
    const recording = new RunRecording(trace, page, tell);
    const opened = openReporters(terminal, reporters, shownAs);
    const ways = { plugins, sanitize, bail, interruption, progress, recording, printError: tell };
    const sequence =
      jobs === undefined || plan.length < 2
        ? new RunSequence(opened, ways)
        : new SharedSequence(opened, { ...ways, jobs, cwd, shard, whole, head: shownAs.blob.head() });
    const made = await sequence.make(plan);
    progress.end();
    recording.end(made);
    const status = worstStatus(checked, sequence.status);
    opened.end({ ...made, startedAt, durationMs: performance.now() - start, status });
    if (!asJson) for (const line of recording.summaries) terminal.printSentence(0, line);
    // As with the standard output, what became of it leaves the status alone.
    for (const error of opened.close()) tell(error);
    return status;
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

/** What reporters are told of the runs of a command beside their reports. */
interface ReportedRuns {
  readonly whole: readonly PlannedRun[];
  readonly shard: Shard;
  readonly folders: { readonly cwd: string; readonly shipped: string };
  readonly startedAt: Date;
  readonly namesOf: NamesOfProfiles;
}

function reporterOptions(
  { quiet, verbose, stack, seed, repeat, set, sanitize }: RunCommandOptions,
  { whole, shard, folders, startedAt, namesOf }: ReportedRuns,
): ReporterOptions {
  const local = (path: string): string => displayPath(path, folders.cwd).replaceAll('\\', '/');
  const showsSeeds = seed !== undefined || repeat !== undefined;
  const isOnly = (file: string): boolean => namesOf.get(file)?.size === 1;
  return {
    quiet,
    verbose,
    stack,
    local,
    showsSeeds,
    again: ({ report }) => againCommand(report, isOnly(report.file), { set, sanitize, local }),
    blob: blobSource({ plan: whole, shard, folders, startedAt, options: { set, sanitize, showsSeeds }, isOnly }),
  };
}

/** Whether what is wrong is in the profile: its text, an option, or a plugin that is not there. */
function isOfProfile({ run, error }: CheckedRun): boolean {
  return run === undefined || error?.code === 'ERR_PLUGIN_OPTIONS' || error?.code === 'ERR_PLUGIN_NOT_FOUND';
}
