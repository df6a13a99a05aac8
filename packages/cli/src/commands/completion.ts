import type { Command } from 'commander';
import { ExitStatus } from '../exit-status.ts';
import { commandTable, programOptions } from '../help/command-table.ts';
import { completionScript, type Shell } from '../help/completion.ts';
import { manualPage } from '../help/manual-page.ts';
import { shippedNames } from '../shipped-profiles.ts';
import type { Terminal } from '../terminal.ts';

/** `completion <shell>`: prints the completion of a shell. */
export function completionCommand(terminal: Terminal, program: Command, shell: Shell): ExitStatus {
  const table = { commands: commandTable(program), options: programOptions(program), profiles: shippedNames() };
  terminal.print(completionScript(shell, table));
  return ExitStatus.AsExpected;
}

/** `manual`: prints the manual page. */
export function manualCommand(terminal: Terminal, program: Command, version: string): ExitStatus {
  const table = { commands: commandTable(program), options: programOptions(program) };
  terminal.print(manualPage(table, { description: program.description(), version }));
  return ExitStatus.AsExpected;
}
