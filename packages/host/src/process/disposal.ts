/** What has to be undone, last first. Every step is tried, whatever the others do. */
export class Disposal {
  readonly #steps: (() => void | Promise<void>)[] = [];

  /** Starts something, which adds what has to be undone. Where it throws, that is undone at once, and there is nothing left of it. */
  static async orNothing<T>(start: (disposal: Disposal) => T | Promise<T>): Promise<T> {
    const disposal = new Disposal();
    try {
      return await start(disposal);
    } catch (error) {
      await disposal.run();
      throw error;
    }
  }

  add(step: () => void | Promise<void>): void {
    this.#steps.push(step);
  }

  /** Never throws: there is nobody left to tell. A step runs once, however often this is called. */
  async run(): Promise<void> {
    for (;;) {
      const step = this.#steps.pop();
      if (step === undefined) return;
      try {
        await step();
      } catch {
        // What remains is still to be undone.
      }
    }
  }
}
