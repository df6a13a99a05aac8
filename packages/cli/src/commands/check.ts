import { resolve } from 'node:path';
import { isCodedError, type CodedError } from '@virtio-platform/core';
import { checkPlugins, loadProfiles, type Profile } from '@virtio-platform/profile';
import { ExitStatus, exitStatusOf, worstStatus } from '../exit-status.ts';
import { printError } from '../print-error.ts';
import type { Terminal } from '../terminal.ts';

/** A run of a profile, and what is wrong with it. */
interface CheckResult {
  readonly file: string;
  /** `undefined` where the profile itself is wrong, so that its runs are not known. */
  readonly profile: Profile | undefined;
  readonly error: CodedError | undefined;
}

/** `check <profile...>`: every run of each profile, its plugins and their options; nothing is started. */
export async function checkCommand(terminal: Terminal, files: readonly string[], asJson: boolean): Promise<ExitStatus> {
  const results: CheckResult[] = [];
  for (const file of files) {
    const ofFile = await checkFile(terminal, file);
    if (!asJson) printResults(terminal, file, ofFile);
    results.push(...ofFile);
  }
  if (asJson) terminal.printJson(results.map(reportOf));
  const statuses = results.map(({ error }) => (error === undefined ? ExitStatus.AsExpected : exitStatusOf(error)));
  return statuses.reduce(worstStatus, ExitStatus.AsExpected);
}

async function checkFile(terminal: Terminal, file: string): Promise<CheckResult[]> {
  const results: CheckResult[] = [];
  try {
    for (const profile of await loadProfiles(resolve(terminal.cwd, file))) {
      results.push({ file, profile, error: await pluginError(profile) });
    }
  } catch (error) {
    if (!isCodedError(error)) throw error;
    results.push({ file, profile: undefined, error });
  }
  return results;
}

async function pluginError(profile: Profile): Promise<CodedError | undefined> {
  try {
    await checkPlugins(profile);
    return undefined;
  } catch (error) {
    if (!isCodedError(error)) throw error;
    return error;
  }
}

/** Prints a profile in one line, or what is wrong with it: once, whatever number of runs it is wrong in. */
function printResults(terminal: Terminal, file: string, results: readonly CheckResult[]): void {
  const { green, dim } = terminal.colors;
  const errors = new Map(results.flatMap(({ error }) => (error === undefined ? [] : [[error.message, error]])));
  for (const error of errors.values()) printError(terminal, error, false);
  if (errors.size > 0) return;
  const runs = results.length > 1 ? ` (${results.length} runs)` : '';
  terminal.print(`${green('ok')} ${file}${runs}  ${dim(results[0]?.profile?.summary ?? '')}`);
}

function reportOf({ file, profile, error }: CheckResult): unknown {
  const run = { file, profile: profile?.name ?? null, ok: error === undefined };
  if (error === undefined) return { ...run, error: null };
  const { code, message, hint } = error;
  const issues = 'issues' in error ? error.issues : [];
  return { ...run, error: { code, message, hint: hint ?? null, issues } };
}
