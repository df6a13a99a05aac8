import { resolve } from 'node:path';
import { sweepTemporaryFolders } from '@virtio-platform/host';
import { codedErrorOf, type CodedError } from '@virtio-platform/core';
import { blamePlugin, strayOwner, type NamedRun, type ResolutionOptions } from '@virtio-platform/profile';
import { failedReport, isAsExpected, startProfile, type RunReport } from '@virtio-platform/runner';
import { checkRuns, distinctErrors, type CheckedRun } from '../checked-runs.ts';
import { ExitStatus, exitStatusOf, worstStatus } from '../exit-status.ts';
import { isolate } from '../isolate.ts';
import { printError } from '../print-error.ts';
import { ProgressLine } from '../progress-line.ts';
import { commandLine, RunPage } from '../run-page.ts';
import { printRunTable } from '../run-table.ts';
import { embeddedProfiles } from '../shipped-profiles.ts';
import { printableData, type Terminal } from '../terminal.ts';

/** The options of `run`. */
export interface RunCommandOptions {
  readonly json: boolean;
  /** Whether every run is under the DMA sanitizer, also where its profile does not say so. */
  readonly sanitize: boolean;
  /** Whether people are shown the stack of what made a run fail. */
  readonly stack: boolean;
  /** The page to write for people: `run --report`. */
  readonly report?: string | undefined;
  /** Of the command, as the page shows it. */
  readonly version: string;
  /** Which plugins the profiles may use. */
  readonly plugins: ResolutionOptions;
}

/**
 * `run [profile...]`: all profiles are checked, with every run of theirs, before the first one runs; where one is
 * wrong, in its text, an option or the name of a plugin, none runs. Whatever a plugin or a device does in one run, the
 * others run, and each has its report.
 */
export async function runCommand(
  terminal: Terminal,
  files: readonly string[],
  { json: asJson, sanitize, stack, plugins, report: pageFile, version }: RunCommandOptions,
): Promise<ExitStatus> {
  const startedAt = performance.now();
  const again = (words: readonly string[]): string =>
    commandLine(['virtio-platform', 'run', ...words, ...(sanitize ? ['--sanitize'] : [])]);
  const page =
    pageFile === undefined
      ? undefined
      : new RunPage({
          file: pageFile,
          cwd: terminal.cwd,
          command: again([...files, '--report', pageFile]),
          again: (file) => again([file]),
          toolVersion: version,
        });
  sweepTemporaryFolders();
  const paths = files.length > 0 ? files.map((file) => resolve(terminal.cwd, file)) : embeddedProfiles();
  const { runs, status: loaded } = await checkAll(terminal, paths, asJson, plugins);
  if (runs.some(isOfProfile)) return loaded;
  page?.begin(runs.length);

  const reports: RunReport[] = [];
  /** Those of `reports`, in the same order. */
  const reported: NamedRun[] = [];
  let status: ExitStatus = loaded;
  for (const { run, profile, error: wrong } of runs) {
    if (run === undefined) continue;
    reported.push(run);
    if (profile === undefined || wrong !== undefined) {
      if (wrong !== undefined) {
        reports.push(failedReport(run, wrong));
        page?.ended(run, profile, reports.at(-1)!);
      }
      continue;
    }
    const coded = (thrown: unknown): CodedError => blamePlugin(thrown, profile, plugins);
    /** What a plugin of an earlier run left behind throws: that is of the earlier run. */
    const isOther = (thrown: unknown): boolean => {
      const owner = strayOwner(thrown, reported, plugins);
      const report = owner && reports[owner.at];
      if (owner === undefined || report === undefined) return false;
      reports[owner.at] = failedReport(reported[owner.at]!, owner.error, report);
      page?.amend(owner.at, reports[owner.at]!);
      status = worstStatus(status, printError(terminal, owner.error, asJson));
      return true;
    };
    const progress = new ProgressLine(terminal);
    const onProgress = (done: number, total: number): void => progress.show(profile.name, done, total);
    const { value, error } = await isolate(
      () => {
        const started = startProfile(profile, { onProgress, sanitize, plugins, recorder: page?.openRecorder() });
        page?.watch(started);
        return started.report;
      },
      coded,
      isOther,
    );
    progress.clear();
    const report = value !== undefined && error === undefined ? value : failedReport(profile, error!, value);
    reports.push(report);
    page?.ended(run, profile, report);
    if (error !== undefined) status = worstStatus(status, printError(terminal, error, asJson));
    else if (isOfPlugin(report)) status = worstStatus(status, ExitStatus.Usage);
    else if (!isAsExpected(report)) status = worstStatus(status, ExitStatus.Differed);
  }
  if (asJson) terminal.printJson(reports);
  else printRunTable(terminal, printableData(reports), performance.now() - startedAt, { stack });
  page?.end();
  return status;
}

/** Whether what is wrong is in the profile: its text, an option, or a plugin that is not there. */
function isOfProfile({ run, error }: CheckedRun): boolean {
  return run === undefined || error?.code === 'ERR_PLUGIN_OPTIONS' || error?.code === 'ERR_PLUGIN_NOT_FOUND';
}

/** Whether a plugin did something wrong, which is no result of the run: as one that cannot be loaded. */
function isOfPlugin({ failure }: RunReport): boolean {
  return failure !== null && exitStatusOf(failure) === ExitStatus.Usage;
}

/** Checks the runs of every profile, with their plugins and options, and prints each error. */
async function checkAll(
  terminal: Terminal,
  paths: readonly string[],
  asJson: boolean,
  plugins: ResolutionOptions,
): Promise<{ runs: readonly CheckedRun[]; status: ExitStatus }> {
  const checked: CheckedRun[] = [];
  let status: ExitStatus = ExitStatus.AsExpected;
  for (const path of paths) {
    let first: { readonly thrown: unknown } | undefined;
    const coded = (thrown: unknown): CodedError => {
      first = { thrown };
      return codedErrorOf(thrown);
    };
    const { value: found = [], error: stray } = await isolate(() => checkRuns(path, plugins), coded);
    const named = (run: NamedRun | undefined): CodedError | undefined =>
      run === undefined || first === undefined ? stray : blamePlugin(first.thrown, run, plugins);
    const runs = found.map((run) => ({ ...run, error: run.error ?? named(run.run) }));
    const errors = stray !== undefined && runs.length === 0 ? [stray] : distinctErrors(runs);
    for (const error of errors) status = worstStatus(status, printError(terminal, error, asJson));
    checked.push(...runs);
    if (runs.length === 0) checked.push({ run: undefined, profile: undefined, error: stray });
  }
  return { runs: checked, status };
}
