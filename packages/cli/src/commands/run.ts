import { resolve } from 'node:path';
import { sweepTemporaryFolders } from '@virtio-platform/host';
import type { Profile, ResolutionOptions } from '@virtio-platform/profile';
import { failedReport, isAsExpected, runProfile, type RunReport } from '@virtio-platform/runner';
import { checkRuns, distinctErrors } from '../checked-runs.ts';
import { ExitStatus, worstStatus } from '../exit-status.ts';
import { isolate } from '../isolate.ts';
import { printError } from '../print-error.ts';
import { ProgressLine } from '../progress-line.ts';
import { printRunTable } from '../run-table.ts';
import { embeddedProfiles } from '../shipped-profiles.ts';
import { printableData, type Terminal } from '../terminal.ts';

/** The options of `run`. */
export interface RunCommandOptions {
  readonly json: boolean;
  /** Whether every run is under the DMA sanitizer, also where its profile does not say so. */
  readonly sanitize: boolean;
  /** Which plugins the profiles may use. */
  readonly plugins: ResolutionOptions;
}

/**
 * `run [profile...]`: all profiles are checked, with every run of theirs, before the first one runs. Whatever happens
 * in one run, the others run, and each has its report.
 */
export async function runCommand(
  terminal: Terminal,
  files: readonly string[],
  { json: asJson, sanitize, plugins }: RunCommandOptions,
): Promise<ExitStatus> {
  const startedAt = performance.now();
  sweepTemporaryFolders();
  const paths = files.length > 0 ? files.map((file) => resolve(terminal.cwd, file)) : embeddedProfiles();
  const { profiles, status: loaded } = await loadAll(terminal, paths, asJson, plugins);
  if (loaded !== ExitStatus.AsExpected) return loaded;

  const reports: RunReport[] = [];
  let status: ExitStatus = ExitStatus.AsExpected;
  for (const profile of profiles) {
    const progress = new ProgressLine(terminal);
    const onProgress = (done: number, total: number): void => progress.show(profile.name, done, total);
    const { value, error } = await isolate(() => runProfile(profile, { onProgress, sanitize, plugins }));
    progress.clear();
    const report = value !== undefined && error === undefined ? value : failedReport(profile, error!, value);
    reports.push(report);
    if (error !== undefined) status = worstStatus(status, printError(terminal, error, asJson));
    else if (!isAsExpected(report)) status = worstStatus(status, ExitStatus.Differed);
  }
  if (asJson) terminal.printJson(reports);
  else printRunTable(terminal, printableData(reports), performance.now() - startedAt);
  return status;
}

/** Checks the runs of every profile, with their plugins and options, and prints each error. */
async function loadAll(
  terminal: Terminal,
  paths: readonly string[],
  asJson: boolean,
  plugins: ResolutionOptions,
): Promise<{ profiles: Profile[]; status: ExitStatus }> {
  const profiles: Profile[] = [];
  let status: ExitStatus = ExitStatus.AsExpected;
  for (const path of paths) {
    const runs = await checkRuns(path, plugins);
    for (const error of distinctErrors(runs)) status = worstStatus(status, printError(terminal, error, asJson));
    profiles.push(...runs.flatMap(({ profile }) => profile ?? []));
  }
  return { profiles, status };
}
