import type { Terminal } from '../terminal.ts';
import type { EndedRun, Reporter } from './reporter.ts';

/**
 * For programs that read while runs are made: a report in one line for each run as it ends. Of a run with two lines
 * the last one counts.
 */
export class NdjsonReporter implements Reporter {
  readonly #terminal: Terminal;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  ended({ report }: EndedRun): void {
    this.#terminal.printJsonLine(report);
  }

  amended({ report }: EndedRun): void {
    this.#terminal.printJsonLine(report);
  }

  end(): void {
    // Everything was printed when it happened.
  }
}
