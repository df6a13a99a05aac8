import { isCodedError } from '@virtio-platform/core';
import { exitStatusOf, type ExitStatus } from './exit-status.ts';
import type { Terminal } from './terminal.ts';

/** Prints a coded error with what to do next, and returns its exit status. With `asJson`, one object in one line. */
export function printError(terminal: Terminal, error: unknown, asJson: boolean): ExitStatus {
  const status = exitStatusOf(error);
  if (!isCodedError(error)) return status;
  if (asJson) {
    const { code, message, hint } = error;
    const issues = 'issues' in error ? error.issues : [];
    terminal.printError(JSON.stringify({ error: { code, message, hint: hint ?? null, issues } }));
    return status;
  }
  const { red, dim } = terminal.errorColors;
  terminal.printError(`${red('error')} ${error.message} ${dim(`[${error.code}]`)}`);
  if (error.hint !== undefined) terminal.printError(`  ${error.hint}`);
  return status;
}
