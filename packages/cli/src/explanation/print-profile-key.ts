import type { Terminal } from '../terminal.ts';
import { printFact } from './print-explanation.ts';
import type { ProfileKey } from './profile-key.ts';

/** Prints what a key of a profile is: its description first, then its values, its default, and who has it. */
export function printProfileKey(terminal: Terminal, key: ProfileKey): void {
  const { bold } = terminal.colors;
  const { path, of, description, values, default: byDefault, keys } = key;
  terminal.printHanging('', `${bold(path)}  ${description}`.trimEnd());
  printFact(terminal, 'values', values);
  if (byDefault !== null) printFact(terminal, 'default', byDefault);
  if (of !== null) printFact(terminal, 'of', of);
  if (keys.length > 0) printFact(terminal, 'keys', keys.join(', '));
}
