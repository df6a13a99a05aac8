import { resolve } from 'node:path';
import { loadProfile } from '@virtio-platform/profile';
import { explainProfile } from '@virtio-platform/runner';
import { ExitStatus } from '../exit-status.ts';
import { printExplanation } from '../print-explanation.ts';
import type { Terminal } from '../terminal.ts';

/** `explain <profile>`: negotiates on the profile's machine and says how it came out. A refusal is an answer, not an error. */
export async function explainCommand(terminal: Terminal, file: string, asJson: boolean): Promise<ExitStatus> {
  const explanation = await explainProfile(await loadProfile(resolve(terminal.cwd, file)));
  if (asJson) terminal.printJson(explanation);
  else printExplanation(terminal, explanation);
  return ExitStatus.AsExpected;
}
