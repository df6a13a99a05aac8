import { resolve } from 'node:path';
import { explainProfile, type Explanation } from '@virtio-platform/runner';
import { loadRuns } from '../checked-runs.ts';
import { ExitStatus } from '../exit-status.ts';
import { printExplanation } from '../print-explanation.ts';
import type { Terminal } from '../terminal.ts';

/**
 * `explain <profile>`: negotiates each run on its machine and says how it came out. A refusal is an answer, not an
 * error.
 */
export async function explainCommand(terminal: Terminal, file: string, asJson: boolean): Promise<ExitStatus> {
  const explanations: Explanation[] = [];
  for (const profile of await loadRuns(resolve(terminal.cwd, file))) {
    explanations.push(await explainProfile(profile));
  }
  if (asJson) terminal.printJson(explanations.length === 1 ? explanations[0] : explanations);
  else printExplanations(terminal, explanations);
  return ExitStatus.AsExpected;
}

function printExplanations(terminal: Terminal, explanations: readonly Explanation[]): void {
  for (const [i, explanation] of explanations.entries()) {
    if (i > 0) terminal.print('');
    printExplanation(terminal, explanation);
  }
}
