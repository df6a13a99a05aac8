import { resolve } from 'node:path';
import { checkPlugins, type Profile, type ResolutionOptions } from '@virtio-platform/profile';
import { explainProfile } from '@virtio-platform/runner';
import { loadRuns } from '../checked-runs.ts';
import { ExitStatus } from '../exit-status.ts';
import { onEmbeddedMachine } from '../embedded-machine.ts';
import { printExplanation, type CommandExplanation } from '../print-explanation.ts';
import { printableData, type Terminal } from '../terminal.ts';

/**
 * `explain <profile>`: negotiates each run on the embedded machine and says how it came out. Starts nothing. A refusal
 * is an answer, not an error.
 */
export async function explainCommand(
  terminal: Terminal,
  file: string,
  asJson: boolean,
  plugins: ResolutionOptions,
): Promise<ExitStatus> {
  const explanations: CommandExplanation[] = [];
  for (const profile of await loadRuns(resolve(terminal.cwd, file), plugins)) {
    explanations.push(await explain(profile, plugins));
  }
  if (asJson) terminal.printJson(explanations.length === 1 ? explanations[0] : explanations);
  else printExplanations(terminal, printableData(explanations));
  return ExitStatus.AsExpected;
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
