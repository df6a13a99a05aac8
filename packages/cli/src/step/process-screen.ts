import { writeSync } from 'node:fs';
import type { TerminalScreen } from '../terminal.ts';

/** A window of a terminal that does not tell its size. */
const USUAL = { columns: 80, rows: 24 };

/**
 * The terminal of this process; `undefined` where the standard input or output is none, or it is one that cannot move
 * its cursor (`TERM=dumb`).
 */
export function processScreen(): TerminalScreen | undefined {
  const { stdin, stdout } = process;
  if (!stdin.isTTY || !stdout.isTTY || (process.env['TERM'] ?? 'dumb') === 'dumb') return undefined;
  return {
    input: stdin,
    output: {
      size: () => ({ columns: stdout.columns || USUAL.columns, rows: stdout.rows || USUAL.rows }),
      // At once: what restores the terminal is written while the process ends.
      write: (text) => writeAll(stdout.fd, text),
      onResize: (listener) => {
        stdout.on('resize', listener);
        return () => void stdout.off('resize', listener);
      },
    },
  };
}

/** A terminal that is full for the moment takes the rest a little later; one that is gone takes none. */
function writeAll(fd: number, text: string): void {
  let rest = Buffer.from(text);
  for (let attempts = 0; rest.length > 0 && attempts < 1000; attempts++) {
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) return;
    }
  }
}
