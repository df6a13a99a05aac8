import { isAsExpected, type RunReport } from '@virtio-platform/runner';
import type { Terminal } from '../../terminal.ts';
import type { RunSummary } from '../reporter.ts';
import { describeLogCut } from './log-cut.ts';
import { formatDuration } from './run-line.ts';

/** Prints the last lines of a command: what was not looked at or not run, and how many runs are as expected. */
export function printSummary(terminal: Terminal, { ended, notRun, earlyEnd, durationMs }: RunSummary): void {
  const { bold, dim, green, red, yellow } = terminal.colors;
  const reports = ended.map(({ report }) => report);
  const blind = reports.filter(({ sanitizer }) => sanitizer?.seesDevice === false).length;
  if (blind > 0) {
    const which = blind === 1 ? 'one run' : `${blind} runs`;
    terminal.print(dim(`\nof ${which} the sanitizer saw only the driver: the device is not in its thread`));
  }
  // Of the others it stands with the failure.
  for (const report of reports.filter(isAsExpected)) {
    const cut = describeLogCut(report);
    if (cut !== undefined) terminal.printSentence(0, dim(`${report.profile}: ${cut}`));
  }
  terminal.printGap();
  if (earlyEnd !== undefined) {
    const count = notRun.length === 1 ? 'one run was not made' : `${notRun.length} runs were not made`;
    terminal.printSentence(0, yellow(`${earlyEnd.reason}: ${count}`));
  }
  const good = reports.filter(isAsExpected).length;
  const isGood = good === reports.length && earlyEnd === undefined;
  const count = `${good} of ${reports.length} runs as expected`;
  const shown = isGood ? green(bold(count)) : good === reports.length ? bold(count) : red(bold(count));
  const requests = reports.reduce((sum, report) => sum + report.workload.requests, 0);
  terminal.print(`${shown}, ${requests.toLocaleString('en')} requests ${dim(`in ${formatDuration(durationMs)}`)}`);
}

/** What a platform shows of itself, and what the device changed, in one line: `grants: 12 used, 500 free`. */
export function describeStatistics({ statistics, configuration }: RunReport): string {
  const groups = Object.entries(statistics).map(([what, counters]) => {
    const each = Object.entries(counters).map(([name, value]) => `${value.toLocaleString('en')} ${name}`);
    return `${what}: ${each.join(', ')}`;
  });
  const changes = configuration.seen.map((change) => `the device changed its ${change}`);
  return [...groups, ...changes].join('; ');
}
