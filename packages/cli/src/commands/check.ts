import { resolve } from 'node:path';
import { isCodedError } from '@virtio-platform/core';
import { checkPlugins, loadProfile } from '@virtio-platform/profile';
import { ExitStatus, exitStatusOf, worstStatus } from '../exit-status.ts';
import { printError } from '../print-error.ts';
import type { Terminal } from '../terminal.ts';

/** `check <profile...>`: the profile, its plugins and their options; nothing is started. */
export async function checkCommand(terminal: Terminal, files: readonly string[], asJson: boolean): Promise<ExitStatus> {
  const results: unknown[] = [];
  let status: ExitStatus = ExitStatus.AsExpected;
  for (const file of files) {
    try {
      const profile = await loadProfile(resolve(terminal.cwd, file));
      await checkPlugins(profile);
      results.push({ file, profile: profile.name, ok: true, error: null });
      if (!asJson) terminal.print(`${terminal.colors.green('ok')} ${file}  ${terminal.colors.dim(profile.summary)}`);
    } catch (error) {
      if (!asJson) status = worstStatus(status, printError(terminal, error, false));
      else if (isCodedError(error)) {
        status = worstStatus(status, exitStatusOf(error));
        const { code, message, hint } = error;
        const issues = 'issues' in error ? error.issues : [];
        results.push({ file, profile: null, ok: false, error: { code, message, hint: hint ?? null, issues } });
      } else throw error;
    }
  }
  if (asJson) terminal.printJson(results);
  return status;
}
