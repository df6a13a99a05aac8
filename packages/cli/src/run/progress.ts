import { printable } from '@virtio-platform/core';
import type { Terminal } from '../terminal.ts';

/** Where nothing is printed, people wait so long for a sign of life. */
const SILENCE_MS = 2000;
/** A line that is replaced comes sooner: it leaves nothing behind. */
const REPLACED_SILENCE_MS = 500;
const TICK_MS = 250;

/** What is going on. */
interface Step {
  readonly what: string;
  readonly startedAt: number;
  done: number;
  total: number;
}

/** Where new lines go: beside what people read, or to the errors where a program reads that; `none` for no line. */
export type ProgressPlace = 'output' | 'errors' | 'none';

/**
 * Says what is going on while nothing else is printed: on a terminal in one line of standard error that is replaced,
 * elsewhere in a new line every two seconds.
 */
export class Progress {
  readonly #terminal: Terminal;
  readonly #place: ProgressPlace;
  readonly #timer: NodeJS.Timeout | undefined;
  #step: Step | undefined;

  constructor(terminal: Terminal, place: ProgressPlace) {
    this.#terminal = terminal;
    this.#place = place;
    if (place === 'none') return;
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    // What waits for ever is found by an event loop without work.
    this.#timer.unref();
  }

  /** Something begins: `checking pseries.yaml`, `run 3 of 40, pseries-linear`. */
  begin(what: string): void {
    this.#step = { what, startedAt: performance.now(), done: 0, total: 0 };
  }

  /** So many requests of it are done. */
  advance(done: number, total: number): void {
    if (this.#step !== undefined) Object.assign(this.#step, { done, total });
    this.#tick();
  }

  /** Nothing is going on any more. */
  end(): void {
    this.#step = undefined;
    this.#terminal.showLine('');
    clearInterval(this.#timer);
  }

  #tick(): void {
    const { canReplaceLine, lastOutputAt } = this.#terminal;
    if (this.#timer === undefined || this.#step === undefined) return;
    const silence = performance.now() - Math.max(lastOutputAt, this.#step.startedAt);
    if (canReplaceLine && silence >= REPLACED_SILENCE_MS) this.#terminal.showLine(describeStep(this.#step));
    else if (!canReplaceLine && performance.now() - lastOutputAt >= SILENCE_MS) this.#print(describeStep(this.#step));
  }

  #print(text: string): void {
    if (this.#place === 'output') this.#terminal.print(printable(text));
    else this.#terminal.printError(printable(text));
  }
}

function describeStep({ what, startedAt, done, total }: Step): string {
  const seconds = Math.floor((performance.now() - startedAt) / 1000);
  if (total === 0) return `${what}: ${seconds} s`;
  const percent = Math.floor((done / total) * 100);
  return `${what}: ${done.toLocaleString('en')} of ${total.toLocaleString('en')} requests (${percent} %), ${seconds} s`;
}
