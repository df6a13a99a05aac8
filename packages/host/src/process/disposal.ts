/** Steps that undo what was started. They run in reverse order, each of them even where another one fails. */
export class Disposal {
  readonly #steps: (() => void | Promise<void>)[] = [];

  /**
   * Runs `start`, which adds the steps that undo it. Where `start` throws, the steps run before its error is thrown on.
   */
  static async orNothing<T>(start: (disposal: Disposal) => T | Promise<T>): Promise<T> {
    const disposal = new Disposal();
    try {
      return await start(disposal);
    } catch (error) {
      await disposal.run();
      throw error;
    }
  }

  /** Adds a step, which runs before the steps added earlier. */
  add(step: () => void | Promise<void>): void {
    this.#steps.push(step);
  }

  /** Runs the steps; each runs once, however often this is called. Ignores their errors, so it never throws. */
  async run(): Promise<void> {
    for (;;) {
      const step = this.#steps.pop();
      if (step === undefined) return;
      try {
        await step();
      } catch {
        // The remaining steps still have to run.
      }
    }
  }
}
