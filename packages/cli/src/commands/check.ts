import { printable } from '@virtio-platform/core';
import { displayPath, type ResolutionOptions } from '@virtio-platform/profile';
import { checkRuns, distinctErrors, type CheckedRun } from '../checked-runs.ts';
import { ExitStatus, exitStatusOf, worstStatus } from '../exit-status.ts';
import { printError } from '../print-error.ts';
import { ProfileWords, type TextInput } from '../run/profile-sources.ts';
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
  input: TextInput | undefined,
): Promise<ExitStatus> {
  const results: CheckResult[] = [];
  const named = new ProfileWords(terminal.cwd, input);
  for (const file of files) {
    const sources = await named.of(file);
    for (const source of sources) {
      // A profile is called by the word where that names one alone.
      const isPath = typeof source === 'string' && sources.length > 1;
      const shown = isPath ? displayPath(source, terminal.cwd) : file;
      const runs = await checkRuns(source, { ...plugins, baseDirectory: terminal.cwd });
      const ofFile = runs.map((run) => ({ ...run, file: shown }));
      if (!asJson) printResults(terminal, shown, ofFile);
      results.push(...ofFile);
    }
  }
  if (asJson) terminal.printJson(results.map(reportOf));
  const statuses = results.map(({ error }) => (error === undefined ? ExitStatus.AsExpected : exitStatusOf(error)));
  return statuses.reduce(worstStatus, ExitStatus.AsExpected);
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
