import { isAsExpected, type RunReport } from '@virtio-platform/runner';
import { printableData } from '../../terminal.ts';
import type { RunSummary } from '../reporter.ts';
import { runOutcome } from '../run-problems.ts';
import { printFailures } from './list-reporter.ts';
import { printObserved } from './print-failure.ts';
import { describeStatistics, printSummary } from './print-summary.ts';
import { printRunCards } from './run-cards.ts';
import { printRunTable } from './run-table.ts';
import { PrintingReporter } from '../printing-reporter.ts';

/** For people who compare runs: a table of all of them at the end, or cards where a line is too short for a table. */
export class TableReporter extends PrintingReporter {
  end(summary: RunSummary): void {
    const terminal = this.terminal;
    const reports = printableData(summary.ended.map(({ report }) => report));
    const { quiet } = this.options;
    if (!quiet && reports.length > 0 && !printRunTable(terminal, reports)) printRunCards(terminal, reports);
    printFailures(terminal, summary, this.options);
    if (this.options.verbose) this.#printExpected(reports);
    const statistics = quiet
      ? []
      : reports.flatMap((report) => {
          const text = describeStatistics(report);
          return text === '' ? [] : [`${report.profile}  ${text}`];
        });
    if (statistics.length > 0) terminal.printGap();
    for (const line of statistics) terminal.printSentence(0, terminal.colors.dim(line));
    printSummary(terminal, summary);
  }
  /** Of the runs that are as expected: what they show that others do not. */
  #printExpected(reports: readonly RunReport[]): void {
    for (const report of reports) {
      if (!isAsExpected(report) || runOutcome(report) === undefined) continue;
      this.terminal.print(`\n${this.terminal.colors.bold(report.profile)}`);
      printObserved(this.terminal, report, this.options);
    }
  }
}
