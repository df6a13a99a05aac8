import { printable, type CodedError } from '@virtio-platform/core/errors';
import { exitStatusOf, type ExitStatus } from './exit-status.ts';
import type { Terminal } from './terminal.ts';

/** Prints a coded error with what to do next, and returns its exit status. With `asJson`, one object in one line. */
export function printError(terminal: Terminal, error: CodedError, asJson: boolean): ExitStatus {
  const { code, message, hint } = error;
  const issues = 'issues' in error ? error.issues : [];
  if (asJson) {
    terminal.printErrorJson({ error: { code, message, hint: hint ?? null, issues } });
  } else {
    const { red, dim } = terminal.errorColors;
    terminal.printError(`${red('error')} ${printableMessage(error)} ${dim(`[${printable(code)}]`)}`);
    if (hint !== undefined) terminal.printError(`  ${printable(hint)}`);
  }
  return exitStatusOf(error);
}

/** The message of an error. One that lists issues has a line for each, and the issues have no line ends. */
function printableMessage(error: CodedError): string {
  return 'issues' in error ? error.message.split('\n').map(printable).join('\n') : printable(error.message);
}
