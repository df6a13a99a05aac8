import { resolve } from 'node:path';
import { checkPlugins, type Profile, type ResolutionOptions } from '@virtio-platform/profile';
import { explainProfile } from '@virtio-platform/runner';
import { eachRun } from '../checked-runs.ts';
import { ExitStatus, worstStatus } from '../exit-status.ts';
import { onEmbeddedMachine } from '../embedded-machine.ts';
import { printError } from '../print-error.ts';
import { printExplanation, type CommandExplanation } from '../print-explanation.ts';
import { printableData, type Terminal } from '../terminal.ts';

/**
 * `explain <profile>`: negotiates each run on the embedded machine and says how it came out. Starts nothing. A refusal
 * is an answer, not an error; a run whose plugins are wrong is left out, with its error.
 */
export async function explainCommand(
  terminal: Terminal,
  file: string,
  asJson: boolean,
  plugins: ResolutionOptions,
): Promise<ExitStatus> {
  const path = resolve(terminal.cwd, file);
  const { results, errors, runs } = await eachRun(path, plugins, (profile) => explain(profile, plugins));
  const status = errors.map((error) => printError(terminal, error, asJson)).reduce(worstStatus, ExitStatus.AsExpected);
  if (results.length === 0) return status;
  if (asJson) terminal.printJson(runs === 1 ? results[0] : results);
  else printExplanations(terminal, printableData(results));
  return status;
}

async function explain(profile: Profile, plugins: ResolutionOptions): Promise<CommandExplanation> {
  const explanation = await explainProfile(onEmbeddedMachine(profile));
  const { machine } = await checkPlugins(profile, plugins);
  return { ...explanation, machine: machine.plugin.name, negotiatedOn: explanation.machine };
}

function printExplanations(terminal: Terminal, explanations: readonly CommandExplanation[]): void {
  for (const [i, explanation] of explanations.entries()) {
    if (i > 0) terminal.print('');
    printExplanation(terminal, explanation);
  }
}
