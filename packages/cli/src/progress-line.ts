import type { Terminal } from './terminal.ts';

/** Work shorter than this shows no progress. */
const QUIET_MS = 2000;

/** One line on standard error that tells how far a run is; only on a terminal, and only for long work. */
export class ProgressLine {
  readonly #terminal: Terminal;
  readonly #startedAt = performance.now();
  #isShown = false;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  show(what: string, done: number, total: number): void {
    if (!this.#terminal.showsProgress || performance.now() - this.#startedAt < QUIET_MS) return;
    this.#isShown = true;
    const percent = Math.floor((done / total) * 100);
    this.#terminal.showLine(
      `${what}  ${done.toLocaleString('en')} of ${total.toLocaleString('en')} requests (${percent} %)`,
    );
  }

  clear(): void {
    if (this.#isShown) this.#terminal.showLine('');
    this.#isShown = false;
  }
}
