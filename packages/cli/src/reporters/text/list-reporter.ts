import { isAsExpected, type RunReport } from '@virtio-platform/runner';
import { printableData, type Terminal } from '../../terminal.ts';
import type { EndedRun, ReportedPlan, ReporterOptions, RunSummary } from '../reporter.ts';
import { printFailure, printObserved } from './print-failure.ts';
import { printSummary } from './print-summary.ts';
import { runDetails } from './run-details.ts';
import { runLine } from './run-line.ts';
import { PrintingReporter } from '../printing-reporter.ts';

/** For people: one line for each run as it ends, the failures once more at the end, then a summary. */
export class ListReporter extends PrintingReporter {
  /** Whether the seeds are not those of the profiles, so that each line has its own. */
  #hasSeeds = false;

  begin(plan: readonly ReportedPlan[]): void {
    this.#hasSeeds = this.options.showsSeeds && plan.length > 0;
  }

  ended({ report }: EndedRun): void {
    this.#show(printableData(report));
  }

  amended({ report }: EndedRun): void {
    this.#show(printableData(report));
  }

  end(summary: RunSummary): void {
    printFailures(this.terminal, summary, this.options);
    printSummary(this.terminal, summary);
  }

  #show(report: RunReport): void {
    const { quiet, verbose, local } = this.options;
    const isGood = isAsExpected(report);
    if (quiet && isGood) return;
    this.terminal.print(runLine(this.terminal, report, this.#hasSeeds ? [`seed ${report.seed}`] : []));
    if (!verbose) return;
    const { dim } = this.terminal.colors;
    for (const line of runDetails(report, local)) this.terminal.printSentence(6, dim(line));
    if (isGood) printObserved(this.terminal, report, this.options);
  }
}

/** Prints each run that is not as expected, in the order of the runs. */
export function printFailures(terminal: Terminal, { ended }: RunSummary, options: ReporterOptions): void {
  for (const run of ended) {
    if (isAsExpected(run.report)) continue;
    const again = options.again(run);
    printFailure(terminal, printableData(run.report), options, again);
  }
}
