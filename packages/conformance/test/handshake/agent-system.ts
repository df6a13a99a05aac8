import type { InterleavedSystem } from '@virtio-platform/conformance';

/** What an agent does next. Each is one step of an exploration, but for `checkpoint`. */
export type Access =
  /**
   * A load waits until the agent's own earlier store is in memory, as behind a full barrier, unless it is `isEarly`.
   */
  | { readonly kind: 'load'; readonly word: string; readonly isEarly: boolean }
  /** A plain one is of a word that the other agent does not look at yet. */
  | { readonly kind: 'store'; readonly word: string; readonly value: number; readonly isPlain: boolean }
  /** Something done as a whole, by code that shares its memory with the other agent. */
  | { readonly kind: 'call'; readonly name: string; readonly run: () => number }
  /** Either of these; the program gets the index. */
  | { readonly kind: 'choose'; readonly between: readonly string[] }
  /** Wakes the other agent, or keeps it from falling asleep the next time. */
  | { readonly kind: 'notify' }
  | { readonly kind: 'sleep' }
  /** Says that all the program goes on with is in `state`: what it did before no longer matters. */
  | { readonly kind: 'checkpoint'; readonly state: string };

/** A part of an agent's program: yields what it does, and gets what it read or chose. */
export type Operation<Result = void> = Generator<Access, Result, number>;

export const load = (word: string, isEarly = false): Access => ({ kind: 'load', word, isEarly });
export const store = (word: string, value: number, isPlain = false): Access => ({
  kind: 'store',
  word,
  value,
  isPlain,
});
export const call = (name: string, run: () => number): Access => ({ kind: 'call', name, run });
export const choose = (...between: string[]): Access => ({ kind: 'choose', between });
export const notify: Access = { kind: 'notify' };
export const sleep: Access = { kind: 'sleep' };
export const checkpoint = (place: string, state: object): Access => ({
  kind: 'checkpoint',
  state: place + JSON.stringify(state),
});

export interface AgentSystemOptions {
  /** The shared words and what they hold at first. */
  readonly words: Readonly<Record<string, number>>;
  readonly driver: Operation;
  readonly device: Operation;
  /** What was left undone when neither side can take a step, or `undefined`. */
  unfinished(): string | undefined;
  /** State that `call` changes, as text. */
  outside?(): string;
}

/**
 * Two agents over shared words. A store is delayed in a buffer of one entry, as a processor does it, and reaches memory
 * in a step of its own; only a load that is not early waits for it.
 */
export class AgentSystem implements InterleavedSystem {
  readonly #words: Map<string, number>;
  readonly #agents: readonly [Agent, Agent];
  readonly #options: AgentSystemOptions;

  constructor(options: AgentSystemOptions) {
    this.#options = options;
    this.#words = new Map(Object.entries(options.words));
    this.#agents = [new Agent('driver', options.driver), new Agent('device', options.device)];
  }

  /**
   * A step that the other agent cannot observe, a choice or a store into the agent's own buffer, runs before any other
   * step. Every other order of such a step leads to the same states, so each state in which both agents wait is found.
   */
  steps(): readonly string[] {
    const unseen = this.#agents.find((agent) => agent.isUnseen());
    return unseen?.nextSteps() ?? this.#agents.flatMap((agent) => agent.steps());
  }

  take(step: string): void {
    const [driver, device] = this.#agents;
    if (step.startsWith(driver.name)) driver.take(step, this.#words, device);
    else device.take(step, this.#words, driver);
  }

  key(): string {
    const [driver, device] = this.#agents;
    const outside = this.#options.outside?.() ?? '';
    return `${[...this.#words.values()].join()}|${driver.key()}|${device.key()}|${outside}`;
  }

  problem(): string | undefined {
    return this.steps().length === 0 ? this.#options.unfinished() : undefined;
  }
}

/** What an agent's store buffer holds. */
type Buffered = Extract<Access, { readonly kind: 'store' }>;

class Agent {
  readonly name: string;
  readonly #program: Operation;
  #next: Access | undefined;
  #checkpoint = '';
  /** What the program got since the checkpoint: with it, this decides where the program is. */
  #got: number[] = [];
  #buffered: Buffered | undefined;
  #isNotified = false;

  constructor(name: string, program: Operation) {
    this.name = name;
    this.#program = program;
    this.#goOn();
  }

  /** Whether the next step of its program is none that the other agent could notice. */
  isUnseen(): boolean {
    const next = this.#next;
    return next !== undefined && (next.kind === 'choose' || next.kind === 'store') && this.#isPossible(next);
  }

  steps(): string[] {
    if (this.#buffered === undefined) return this.nextSteps();
    return [`${this.name}: ${this.#buffered.word} reaches memory`, ...this.nextSteps()];
  }

  /** Without what its store buffer does. */
  nextSteps(): string[] {
    const next = this.#next;
    if (next === undefined || !this.#isPossible(next)) return [];
    if (next.kind === 'choose') return next.between.map((choice) => `${this.name}: ${choice}`);
    return [`${this.name}: ${describeAccess(next)}`];
  }

  take(step: string, words: Map<string, number>, other: Agent): void {
    if (this.#buffered !== undefined && step.endsWith(' reaches memory')) {
      words.set(this.#buffered.word, this.#buffered.value);
      this.#buffered = undefined;
      return;
    }
    const next = this.#next!;
    let got = 0;
    if (next.kind === 'load') {
      got = this.#buffered?.word === next.word ? this.#buffered.value : words.get(next.word)!;
    } else if (next.kind === 'store') this.#buffered = next;
    else if (next.kind === 'call') got = next.run();
    else if (next.kind === 'choose') got = next.between.findIndex((choice) => step === `${this.name}: ${choice}`);
    else if (next.kind === 'notify') other.#isNotified = true;
    else this.#isNotified = false;
    this.#got.push(got);
    this.#goOn(got);
  }

  key(): string {
    const { word, value } = this.#buffered ?? { word: '', value: '' };
    return `${this.#checkpoint}/${this.#got.join()}/${word}${value}/${this.#isNotified}`;
  }

  /** Runs the program to its next step. */
  #goOn(got = 0): void {
    let result = this.#program.next(got);
    while (result.done !== true && result.value.kind === 'checkpoint') {
      this.#checkpoint = result.value.state;
      this.#got = [];
      result = this.#program.next(0);
    }
    this.#next = result.done === true ? undefined : result.value;
  }

  #isPossible(access: Access): boolean {
    if (access.kind === 'choose') return true;
    if (this.#buffered !== undefined) return access.kind === 'load' && access.isEarly;
    return access.kind !== 'sleep' || this.#isNotified;
  }
}

function describeAccess(access: Access): string {
  if (access.kind === 'load') return `loads ${access.word}`;
  if (access.kind === 'store') return `stores ${access.value} to ${access.word}`;
  if (access.kind === 'call') return access.name;
  return access.kind === 'sleep' ? 'wakes up' : 'notifies';
}
