import type { DeviceTypePlugin } from '@virtio-platform/core';
import { FeatureSet } from '@virtio-platform/core/features';
import { setImmediate } from 'node:timers/promises';
import type { BackEndProgram } from '../device/back-end-program.ts';
import type { Patience } from '../device/booted-subject.ts';
import type { CaseResult } from '../run/case-result.ts';
import {
  crashOf,
  endOf,
  goneOutcome,
  isSanitizerReport,
  outcomeOf,
  PASSED,
  resultOf,
  skipped,
  type Outcome,
} from '../run/outcome.ts';
import type { PlannedCase } from '../run/planned-case.ts';
import { FrontEndMemory } from './front-end-memory.ts';
import { ProtocolBench } from './protocol-bench.ts';
import { inapplicableProtocol, type ProtocolCase } from './protocol-case.ts';
import type { ProtocolOffer } from './protocol-offer.ts';
import { HAS_PROTOCOL_FEATURES, PROTOCOL_FEATURES } from './requests.ts';

/** What the cases of the protocol are run with. */
export interface ProtocolRunOptions extends Patience {
  readonly type: DeviceTypePlugin;
  /** The path of the socket on which the back-end listens. */
  readonly socket: string;
  /** The back-end, where conform starts it. */
  readonly program?: BackEndProgram | undefined;
  readonly cases: readonly PlannedCase<ProtocolCase>[];
  /** Called as each case ends. */
  readonly onResult?: ((result: CaseResult) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** By the id of a case: why its failure is known. */
  readonly known?: ReadonlyMap<string, string> | undefined;
}

/** How long the end of a program may take to be known after its connection ended; longer where none is accepted. */
const ENDING_MS = 3;
const LONGEST_ENDING_MS = 300;
/** How long one may take over the report of a sanitizer. */
const REPORT_MS = 5000;
/** How long a back-end that has just been started may take over a message, at least. */
const START_MS = 2000;
/** What a back-end offers that cannot be asked: the cases that need nothing say what is wrong. */
const NOTHING: ProtocolOffer = { features: FeatureSet.EMPTY, protocol: FeatureSet.EMPTY, queues: 1 };

/**
 * Runs cases of the vhost-user protocol, each on a connection of its own. After each case the back-end has to serve a
 * request on a new connection.
 */
export class ProtocolRun {
  readonly #options: ProtocolRunOptions;
  /** In turn: a back-end that polls may still work on the rings of a connection that it does not know to be closed. */
  readonly #memories = [new FrontEndMemory(), new FrontEndMemory()] as const;
  #benches = 0;
  #offer: ProtocolOffer = NOTHING;
  #lost: string | undefined;
  /** How the program crashed, seen before it was started again. */
  #crashed: string | undefined;
  /** What the program had printed before the case. */
  #printed = '';

  constructor(options: ProtocolRunOptions) {
    this.#options = options;
  }

  /** Runs all cases. Throws the reason of the signal. */
  async run(): Promise<readonly CaseResult[]> {
    const { cases, signal, onResult, known } = this.#options;
    const results: CaseResult[] = [];
    if (cases.length > 0) await this.#inquire();
    for (const { id, conformCase, layout } of cases) {
      signal?.throwIfAborted();
      const startedAt = performance.now();
      const outcome = await this.#outcomeOf(id, conformCase, layout);
      const result = resultOf(id, conformCase, outcome, startedAt, known);
      results.push(result);
      onResult?.(result);
    }
    return results;
  }

  /** Gives the memory back. */
  end(): void {
    for (const memory of this.#memories) memory.dispose();
  }

  async #outcomeOf(id: string, conformCase: ProtocolCase, layout: 'split' | 'packed'): Promise<Outcome> {
    if (this.#lost !== undefined) return skipped(`not tried: ${this.#lost}`);
    const why = inapplicableProtocol(conformCase, layout, this.#offer);
    if (why !== undefined) return skipped(why);
    this.#printed = this.#options.program?.errorOutput ?? '';
    const tried = await this.#with(layout, async (bench) => {
      await bench.connect();
      await conformCase.run(bench);
      if (conformCase.isHostile === true) await bench.settle();
    });
    if (tried.verdict === 'skip' || tried.severity === 'host-memory') return tried;
    const crash = await this.#crash(tried.verdict === 'gone' ? ENDING_MS : 0);
    if (crash !== undefined) return await this.#afterCrash(id, layout, crash);
    // A hostile front-end gets no answer, and its connection may be closed.
    const isAllowed = conformCase.isHostile === true && (tried.verdict === 'gone' || tried.verdict === 'hang');
    const after = await this.#afterwards(layout);
    if (after.verdict === 'gone') return await this.#afterCrash(id, layout, after.seen);
    return tried.verdict === 'pass' || isAllowed ? after : tried;
  }

  /** A back-end that crashed is started again, where conform starts it. */
  async #afterCrash(id: string, layout: 'split' | 'packed', crash: string): Promise<Outcome> {
    const { verdict } = await this.#afterwards(layout, Math.max(START_MS, this.#options.patienceMs));
    if (verdict === 'gone') this.#lost = `the back-end is gone since ${id}`;
    return goneOutcome(crash);
  }

  /** After a case: a new connection has to be served. */
  async #afterwards(layout: 'split' | 'packed', patienceMs?: number): Promise<Outcome> {
    const outcome = await this.#with(layout, serves, patienceMs);
    const crash = await this.#crash(outcome.verdict === 'gone' ? LONGEST_ENDING_MS : 0);
    if (crash !== undefined) return goneOutcome(crash);
    if (outcome.verdict === 'pass') return PASSED;
    const seen = `a new connection is not served afterwards: ${outcome.seen}`;
    return { ...outcome, seen, severity: outcome.severity === 'host-memory' ? 'host-memory' : 'wedged' };
  }

  /** Runs a part of a case on a bench of its own, and looks for stray writes. */
  async #with(
    layout: 'split' | 'packed',
    use: (bench: ProtocolBench) => Promise<void>,
    patienceMs: number = this.#options.patienceMs,
  ): Promise<Outcome> {
    const { type, settleMs, signal } = this.#options;
    const listening = (): Promise<string> => this.#listening();
    const memory = this.#memories[this.#benches++ % 2 === 0 ? 0 : 1];
    const options = { type, layout, memory, offer: this.#offer, listening, patienceMs, settleMs };
    const bench = new ProtocolBench(options);
    let outcome = PASSED;
    try {
      await use(bench);
    } catch (thrown) {
      signal?.throwIfAborted();
      outcome = outcomeOf(endOf(thrown), bench.inspect());
    } finally {
      bench.dispose();
      await this.#options.program?.mayHaveEnded();
    }
    const stray = outcome.verdict === 'skip' ? undefined : memory.watched.strayWrite();
    if (stray === undefined) return outcome;
    return { verdict: 'fail', seen: stray, severity: 'host-memory', ring: bench.inspect() };
  }

  /** How the program crashed. It may end a moment after its connection. */
  async #crash(milliseconds: number): Promise<string | undefined> {
    const { program } = this.#options;
    if (program === undefined) return undefined;
    const start = performance.now();
    const isDue = (): boolean =>
      performance.now() < start + (isSanitizerReport(program.errorOutput) ? REPORT_MS : milliseconds);
    do await setImmediate();
    while (program.ending === undefined && this.#crashed === undefined && isDue());
    const crash = this.#crashed ?? this.#crashNow(program);
    this.#crashed = undefined;
    // The next connection starts it again; this end has been told.
    if (crash !== undefined) await program.stop();
    return crash;
  }

  #crashNow({ ending, errorOutput }: BackEndProgram): string | undefined {
    const isMore = errorOutput.startsWith(this.#printed);
    return crashOf(ending, isMore ? errorOutput.slice(this.#printed.length) : errorOutput);
  }

  /** Starts the back-end again where it ended, once it is known how. */
  async #listening(): Promise<string> {
    const { program, signal, socket } = this.#options;
    if (program?.ending !== undefined) this.#crashed ??= this.#crashNow(program);
    await program?.run(signal);
    return socket;
  }

  /** Asks what the back-end offers. */
  async #inquire(): Promise<void> {
    const ask = async (bench: ProtocolBench): Promise<void> => {
      const frontEnd = await bench.connect();
      const features = new FeatureSet(frontEnd.askU64('GET_FEATURES'));
      this.#offer = { features, protocol: FeatureSet.EMPTY, queues: bench.queues.length };
      if (!features.has(HAS_PROTOCOL_FEATURES)) return;
      const protocol = new FeatureSet(frontEnd.askU64('GET_PROTOCOL_FEATURES'));
      this.#offer = { ...this.#offer, protocol };
      if (!protocol.has(PROTOCOL_FEATURES.MQ)) return;
      this.#offer = { ...this.#offer, queues: Number(frontEnd.askU64('GET_QUEUE_NUM')) };
    };
    await this.#with('split', ask, Math.max(START_MS, this.#options.patienceMs));
  }
}

/** What a back-end does on a connection of a front-end that follows the rules. */
async function serves(bench: ProtocolBench): Promise<void> {
  await bench.connect();
  bench.start();
  await bench.serve();
}
