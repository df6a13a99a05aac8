import type { Terminal } from '../terminal.ts';
import type { Reporter, ReporterOptions, RunSummary } from './reporter.ts';

/** A reporter that prints. */
export abstract class PrintingReporter implements Reporter {
  protected readonly terminal: Terminal;
  protected readonly options: ReporterOptions;

  constructor(terminal: Terminal, options: ReporterOptions) {
    this.terminal = terminal;
    this.options = options;
  }

  abstract end(summary: RunSummary): void;
}
