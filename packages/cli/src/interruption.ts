/** Milliseconds for what was interrupted to end what it started; after them the end of the process does. */
const GIVE_UP_MS = 10_000;
/** Milliseconds in which a signal that comes twice is one: a terminal and a parent both send it. */
const SAME_MS = 50;

/**
 * The signals that ask a command to end. The first one lets a command that can end by itself keep what it has; a second
 * one ends it at once.
 */
export class Interruption {
  /** Milliseconds that a command waits for what was interrupted. */
  readonly giveUpMs: number;
  readonly #controller = new AbortController();
  #isAwaited = false;
  #raisedAt = -Infinity;
  #name: string | undefined;

  constructor(giveUpMs: number = GIVE_UP_MS) {
    this.giveUpMs = giveUpMs;
  }

  /** Aborted by the first signal. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The name of the first signal, such as `SIGINT`; `undefined` before it came. */
  get name(): string | undefined {
    return this.#name;
  }

  /** From now on the command ends by itself after the first signal. */
  await(): void {
    this.#isAwaited = true;
  }

  /** A signal came. Returns whether the process is to end at once. */
  raise(name: string): boolean {
    const now = performance.now();
    if (!this.#isAwaited) return true;
    if (this.#name !== undefined) return now - this.#raisedAt > SAME_MS;
    this.#name = name;
    this.#raisedAt = now;
    this.#controller.abort(new Error(`interrupted by ${name}`));
    return false;
  }
}
