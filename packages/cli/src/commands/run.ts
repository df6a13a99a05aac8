import { resolve } from 'node:path';
import type { Profile } from '@virtio-platform/profile';
import { isAsExpected, runProfile, type RunReport } from '@virtio-platform/runner';
import { checkRuns, distinctErrors } from '../checked-runs.ts';
import { ExitStatus, worstStatus } from '../exit-status.ts';
import { printError } from '../print-error.ts';
import { ProgressLine } from '../progress-line.ts';
import { printRunTable } from '../run-table.ts';
import { embeddedProfiles } from '../shipped-profiles.ts';
import type { Terminal } from '../terminal.ts';

/** The options of `run`. */
export interface RunCommandOptions {
  readonly json: boolean;
  /** Whether every run is under the DMA sanitizer, also where its profile does not say so. */
  readonly sanitize: boolean;
}

/** `run [profile...]`: all profiles are checked, with every run of theirs, before the first one runs. */
export async function runCommand(
  terminal: Terminal,
  files: readonly string[],
  { json: asJson, sanitize }: RunCommandOptions,
): Promise<ExitStatus> {
  const startedAt = performance.now();
  const paths = files.length > 0 ? files.map((file) => resolve(terminal.cwd, file)) : embeddedProfiles();
  const { profiles, status: loaded } = await loadAll(terminal, paths, asJson);
  if (loaded !== ExitStatus.AsExpected) return loaded;

  const reports: RunReport[] = [];
  let status: ExitStatus = ExitStatus.AsExpected;
  for (const profile of profiles) {
    const progress = new ProgressLine(terminal);
    try {
      const onProgress = (done: number, total: number): void => progress.show(profile.name, done, total);
      const report = await runProfile(profile, { onProgress, sanitize });
      reports.push(report);
      if (!isAsExpected(report)) status = worstStatus(status, ExitStatus.Differed);
    } catch (error) {
      status = worstStatus(status, printError(terminal, error, asJson));
    } finally {
      progress.clear();
    }
  }
  if (asJson) terminal.printJson(reports);
  else if (reports.length > 0) printRunTable(terminal, reports, performance.now() - startedAt);
  return status;
}

/** Checks the runs of every profile, with their plugins and options, and prints each error. */
async function loadAll(
  terminal: Terminal,
  paths: readonly string[],
  asJson: boolean,
): Promise<{ profiles: Profile[]; status: ExitStatus }> {
  const profiles: Profile[] = [];
  let status: ExitStatus = ExitStatus.AsExpected;
  for (const path of paths) {
    const runs = await checkRuns(path);
    for (const error of distinctErrors(runs)) status = worstStatus(status, printError(terminal, error, asJson));
    profiles.push(...runs.flatMap(({ profile }) => profile ?? []));
  }
  return { profiles, status };
}
