import { relative } from 'node:path';
import { printable } from '@virtio-platform/core';
import type { ResolutionOptions } from '@virtio-platform/profile';
import { checkRuns, distinctErrors, type CheckedRun } from '../checked-runs.ts';
import { ExitStatus, exitStatusOf, worstStatus } from '../exit-status.ts';
import { printError } from '../print-error.ts';
import { profilePaths } from '../run/profile-sources.ts';
import type { Terminal } from '../terminal.ts';

/** A checked run of a profile, by the file as it was given. */
interface CheckResult extends CheckedRun {
  readonly file: string;
}

/** `check <profile...>`: every run of each profile, its plugins and their options; nothing is started. */
export async function checkCommand(
  terminal: Terminal,
  files: readonly string[],
  asJson: boolean,
  plugins: ResolutionOptions,
): Promise<ExitStatus> {
  const results: CheckResult[] = [];
  for (const file of files) {
    for (const { path, shown } of pathsOf(file, terminal)) {
      const runs = await checkRuns(path, plugins);
      const ofFile = runs.map((run) => ({ ...run, file: shown }));
      if (!asJson) printResults(terminal, shown, ofFile);
      results.push(...ofFile);
    }
  }
  if (asJson) terminal.printJson(results.map(reportOf));
  const statuses = results.map(({ error }) => (error === undefined ? ExitStatus.AsExpected : exitStatusOf(error)));
  return statuses.reduce(worstStatus, ExitStatus.AsExpected);
}

/** The profiles of a word, each as messages call it: by the word where that names one. A wrong name is a path. */
function pathsOf(word: string, { cwd }: Terminal): readonly { readonly path: string; readonly shown: string }[] {
  const paths = profilePaths(word, cwd);
  return paths.map((path) => ({ path, shown: paths.length === 1 ? word : relative(cwd, path) }));
}

/** Prints a profile in one line, or what is wrong with it: once, whatever number of runs it is wrong in. */
function printResults(terminal: Terminal, file: string, results: readonly CheckResult[]): void {
  const { green, dim } = terminal.colors;
  const errors = distinctErrors(results);
  for (const error of errors) printError(terminal, error, false);
  if (errors.length > 0) return;
  const runs = results.length > 1 ? ` (${results.length} runs)` : '';
  const summary = printable(results[0]?.profile?.summary ?? '');
  terminal.print(`${green('ok')} ${printable(file)}${runs}  ${dim(summary)}`);
}

function reportOf({ file, run: named, error }: CheckResult): unknown {
  const run = { file, profile: named?.name ?? null, ok: error === undefined };
  if (error === undefined) return { ...run, error: null };
  const { code, message, hint } = error;
  const issues = 'issues' in error ? error.issues : [];
  return { ...run, error: { code, message, hint: hint ?? null, issues } };
}
