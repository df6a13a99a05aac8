import { exploreInterleavings, type InterleavedSystem } from '@virtio-platform/conformance';
import { describe, expect, it } from 'vitest';

/** Two agents that each add 1 to a counter, by a load and a store or in one step. */
class Counters implements InterleavedSystem {
  readonly #isAtomic: boolean;
  readonly #read: [number | undefined, number | undefined] = [undefined, undefined];
  readonly #isDone: [boolean, boolean] = [false, false];
  #value = 0;

  constructor(isAtomic: boolean) {
    this.#isAtomic = isAtomic;
  }

  steps(): readonly string[] {
    return ['0', '1'].filter((agent) => !this.#isDone[Number(agent)]);
  }

  take(step: string): void {
    const agent = Number(step) as 0 | 1;
    if (this.#isAtomic) this.#read[agent] = this.#value;
    const read = this.#read[agent];
    if (read === undefined) {
      this.#read[agent] = this.#value;
      return;
    }
    this.#value = read + 1;
    this.#isDone[agent] = true;
  }

  key(): string {
    return JSON.stringify([this.#value, this.#read, this.#isDone]);
  }

  problem(): string | undefined {
    return this.steps().length === 0 && this.#value !== 2 ? `counted ${this.#value}` : undefined;
  }
}

/** Takes the same step over and over, in a circle of `states` or without end. */
class Walker implements InterleavedSystem {
  readonly #states: number;
  #at = 0;

  constructor(states: number) {
    this.#states = states;
  }

  steps(): readonly string[] {
    return ['on'];
  }

  take(): void {
    this.#at = (this.#at + 1) % this.#states;
  }

  key(): string {
    return String(this.#at);
  }

  problem(): undefined {}
}

describe('exploreInterleavings', () => {
  it('finds the schedule that loses an update', () => {
    const { finding } = exploreInterleavings(() => new Counters(false), { maxSteps: 10 });
    expect(finding).toEqual({ problem: 'counted 1', schedule: ['0', '1', '0', '1'] });
  });

  it('visits every state once where nothing is wrong', () => {
    const exploration = exploreInterleavings(() => new Counters(true), { maxSteps: 10 });
    expect(exploration).toEqual({ states: 5, transitions: 4, finding: undefined });
  });

  it('finds a circle', () => {
    const { finding } = exploreInterleavings(() => new Walker(3), { maxSteps: 10 });
    expect(finding?.problem).toMatch(/^comes back to a state/);
    expect(finding?.schedule).toHaveLength(3);
  });

  it('finds a schedule that does not end', () => {
    const { finding } = exploreInterleavings(() => new Walker(Infinity), { maxSteps: 10 });
    expect(finding?.problem).toBe('goes on after 10 steps');
  });

  it('looks at the first state too', () => {
    const broken = { steps: () => [], take: () => {}, key: () => '', problem: () => 'broken from the start' };
    expect(exploreInterleavings(() => broken, { maxSteps: 1 }).finding).toEqual({
      problem: 'broken from the start',
      schedule: [],
    });
  });
});
