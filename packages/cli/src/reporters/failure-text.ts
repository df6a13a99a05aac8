import type { RunReport } from '@virtio-platform/runner';
import { Terminal } from '../terminal.ts';
import { printFailure } from './text/print-failure.ts';

/** Why a run is not as expected, as people are shown it, without colour. The report is printable. */
export function failureText(report: RunReport, again: string): string {
  let text = '';
  const write = (part: string): boolean => {
    text += part;
    return true;
  };
  const terminal = new Terminal({ stdout: { write }, stderr: { write }, cwd: process.cwd() }, { color: false });
  printFailure(terminal, report, { stack: false, verbose: false }, again);
  return text.trim();
}
