import type { Terminal } from '../terminal.ts';
import type { Reporter, RunSummary } from './reporter.ts';

/** For programs: an array with one report for each run that ended, at the end. `schema --report` describes it. */
export class JsonReporter implements Reporter {
  readonly #terminal: Terminal;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  end({ ended }: RunSummary): void {
    this.#terminal.printJson(ended.map(({ report }) => report));
  }
}
