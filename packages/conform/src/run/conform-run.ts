import { codedErrorOf } from '@virtio-platform/core';
import { CaseBench } from '../bench/case-bench.ts';
import { CaseEnd } from '../bench/case-end.ts';
import { BootedSubject, type SubjectOptions } from '../device/booted-subject.ts';
import type { CaseResult } from './case-result.ts';
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
} from './outcome.ts';
import { inapplicable, type PlannedCase } from './planned-case.ts';

/** What the cases of one device are run with. */
export interface ConformRunOptions extends SubjectOptions {
  readonly cases: readonly PlannedCase[];
  /** Called as each case ends. */
  readonly onResult?: ((result: CaseResult) => void) | undefined;
  /** Stops between two cases, and inside of one at its next look at the device. */
  readonly signal?: AbortSignal | undefined;
  /** After a hostile case, how long a vhost-user back-end may return buffers before it gets a new connection. */
  readonly unconfirmedMs?: number | undefined;
  /** By the id of a case: why its failure is known. */
  readonly known?: ReadonlyMap<string, string> | undefined;
}

/** After a hostile case, how long a vhost-user transport waits for buffers before the connection is given up. */
const UNCONFIRMED_MS = 300;
/** Times that a device that is gone is booted again before the cases that are left are given up. */
const MOST_BOOTS_IN_VAIN = 3;

/**
 * Runs cases on one device, one after the other. They share a connection while the device survives; after one that it
 * did not survive, it is booted again. After each case the device has to serve a request.
 */
export class ConformRun {
  readonly #options: ConformRunOptions;
  #subject: BootedSubject | undefined;
  #bootsInVain = 0;
  /** Since when the device cannot be reached any more. */
  #lost = 'the device cannot be reached any more';

  constructor(options: ConformRunOptions) {
    this.#options = options;
  }

  /** Boots the device for the first time. Throws coded errors, and the reason of the signal. */
  async boot(): Promise<BootedSubject> {
    return (this.#subject ??= await this.#bootPrepared());
  }

  /** Runs all cases. Throws the reason of the signal, and coded errors where the device cannot be booted at all. */
  async run(): Promise<readonly CaseResult[]> {
    const results: CaseResult[] = [];
    await this.boot();
    for (const planned of this.#options.cases) {
      this.#options.signal?.throwIfAborted();
      const result = await this.#runCase(planned);
      results.push(result);
      this.#options.onResult?.(result);
    }
    return results;
  }

  /** Runs one case, whether it is one of the options or not. */
  async runOne(planned: PlannedCase): Promise<CaseResult> {
    return await this.#runCase(planned);
  }

  /** Ends the device. */
  async end(): Promise<void> {
    const subject = this.#subject;
    this.#subject = undefined;
    await subject?.end();
  }

  async #runCase(planned: PlannedCase): Promise<CaseResult> {
    const { id, conformCase } = planned;
    const startedAt = performance.now();
    const outcome = await this.#outcomeOf(planned);
    if (outcome.verdict === 'gone') this.#lost = `the device is gone since ${id}`;
    return resultOf(id, conformCase, outcome, startedAt, this.#options.known);
  }

  async #outcomeOf(planned: PlannedCase): Promise<Outcome> {
    const subject = await this.#bootAgain();
    if (subject === undefined) return skipped(`not tried: ${this.#lost}`);
    const why = inapplicable(planned, subject.offered);
    if (why !== undefined) return skipped(why);
    const outcome = await this.#tryCase(subject, planned);
    if (outcome.verdict === 'skip') return outcome;
    const after = await this.#afterwards(planned);
    return outcome.verdict === 'pass' ? after : outcome;
  }

  /** Runs the case itself, and looks for stray writes. */
  async #tryCase(subject: BootedSubject, { conformCase, layout }: PlannedCase): Promise<Outcome> {
    const isHostile = conformCase.isHostile === true;
    const bench = new CaseBench(subject, layout, isHostile);
    let outcome = PASSED;
    let { refusals } = subject;
    try {
      await bench.begin();
      refusals = subject.refusals;
      await conformCase.run(bench);
      if (isHostile) await bench.settle();
      else bench.checkAccesses(refusals);
      if (!isHostile && bench.asksForReset())
        bench.fail('the device asks for a reset of a driver that follows the rules');
    } catch (thrown) {
      outcome = withRefusal(await this.#judge(thrown, bench, subject, isHostile), subject.refusedSince(refusals));
    }
    const stray = subject.memory.strayWrite();
    // What a hostile driver says may be memory that it gives away, as pages of a balloon are.
    const isGivenAway = isHostile && subject.type.writes === 'memory';
    if (stray === undefined || isGivenAway || outcome.verdict === 'skip') return outcome;
    return { verdict: 'fail', seen: stray, severity: 'host-memory', ring: bench.inspect() };
  }

  /** The outcome of a case that threw. A hostile case does not fail where the device closes the connection. */
  async #judge(thrown: unknown, bench: CaseBench, subject: BootedSubject, isHostile: boolean): Promise<Outcome> {
    this.#options.signal?.throwIfAborted();
    const ring = bench.inspect();
    const end = endOf(thrown);
    if (end.verdict === 'gone' || isSanitizerReport(subject.errorOutput)) {
      await subject.awaitEnding();
      const crash = crashIn(subject);
      if (crash !== undefined) return { ...goneOutcome(crash), ring };
    }
    // A hostile driver gets no answer: the device closed, asks for a reset, or has no way to ask for one.
    if (isHostile && (end.verdict === 'gone' || (end.verdict === 'hang' && mayBeSilent(bench)))) return PASSED;
    return outcomeOf(end, ring);
  }

  /**
   * After a case: the device has to be reset, and to serve a request of a driver that follows the rules. One that
   * closed the connection is booted again, unless a signal ended it.
   */
  async #afterwards(planned: PlannedCase): Promise<Outcome> {
    const before = this.#subject!;
    const wasGone = isGone(before);
    if (wasGone || isSanitizerReport(before.errorOutput)) await before.awaitEnding();
    const crash = crashIn(before);
    if (crash !== undefined) return goneOutcome(crash);
    if (wasGone && before.runsOn) return SILENT;
    const isHostile = planned.conformCase.isHostile === true;
    const { unconfirmedMs = UNCONFIRMED_MS } = this.#options;
    let seen: CaseEnd | undefined;
    for (let attempt = 0; attempt < 2; attempt++) {
      const subject = await this.#bootAgain();
      if (subject === undefined) return goneOutcome('it accepts no connection any more');
      const bench = new CaseBench(subject, planned.layout);
      try {
        await bench.begin(isHostile && subject.machineName === 'vhost-user' ? unconfirmedMs : undefined);
        await bench.start();
        await bench.serve(bench.layOut());
        const stray = subject.memory.strayWrite();
        if (stray === undefined) return PASSED;
        return { verdict: 'fail', seen: `after a reset ${stray}`, severity: 'host-memory', ring: bench.inspect() };
      } catch (thrown) {
        this.#options.signal?.throwIfAborted();
        const end = endOf(thrown);
        if (end.verdict === 'gone' || isSanitizerReport(subject.errorOutput)) await subject.awaitEnding();
        const early = crashIn(subject);
        const isSilent = end.verdict === 'gone' && subject.runsOn;
        // The memory of the rings goes with the machine.
        const ring = bench.inspect();
        await this.#drop();
        // A sanitizer takes its time to report, in which a back-end seems to hang.
        const crashed = early ?? crashIn(subject);
        if (crashed !== undefined) return goneOutcome(crashed);
        if (isSilent) return { ...SILENT, ring };
        // One that closed the connection is allowed a new one. So is one of which no reset can be asked: vhost-user has
        // none, and its transport waits for buffers that a queue in error never returns.
        const isReset = subject.machineName === 'vhost-user' && end.verdict === 'hang';
        if (end.verdict !== 'gone' && !(isReset && isHostile && attempt === 0)) {
          const what = `after a reset it does not serve a request: ${end.message}`;
          return { verdict: end.verdict, seen: what, severity: 'wedged', ring };
        }
        seen = end;
      }
    }
    return goneOutcome(`it does not serve a request any more: ${seen?.message ?? ''}`);
  }

  /** The device, booted again where it is gone; `undefined` where that does not help. */
  async #bootAgain(): Promise<BootedSubject | undefined> {
    const subject = this.#subject;
    if (subject !== undefined && !isGone(subject)) return subject;
    await this.#drop();
    if (this.#bootsInVain >= MOST_BOOTS_IN_VAIN) return undefined;
    try {
      this.#subject = await this.#bootPrepared();
      this.#bootsInVain = 0;
    } catch (thrown) {
      this.#options.signal?.throwIfAborted();
      if (!(thrown instanceof CaseEnd)) codedErrorOf(thrown);
      this.#bootsInVain++;
    }
    return this.#subject;
  }

  async #bootPrepared(): Promise<BootedSubject> {
    const subject = await BootedSubject.boot(this.#options);
    try {
      await this.#prepare(subject);
      return subject;
    } catch (error) {
      await subject.end();
      throw error;
    }
  }

  /** A device that fails already here fails the cases, too: they run with requests that need nothing prepared. */
  async #prepare(subject: BootedSubject): Promise<void> {
    subject.request = subject.cases.unprepared;
    const bench = new CaseBench(subject, 'split');
    try {
      await bench.begin();
      await bench.start();
      subject.request = await subject.cases.open(bench);
    } catch (thrown) {
      this.#options.signal?.throwIfAborted();
      endOf(thrown);
    }
  }

  async #drop(): Promise<void> {
    const subject = this.#subject;
    this.#subject = undefined;
    if (subject === undefined) return;
    await subject.end();
    await this.#options.program?.mayHaveEnded();
  }
}

/** The outcome of a program that spins, or waits for what never comes. */
const SILENT: Outcome = {
  verdict: 'hang',
  seen: 'the program that is the device runs on, and does not answer any more',
  severity: 'wedged',
  ring: [],
};

/** The outcome of a case that ended early, with the access that the platform refused meanwhile. */
function withRefusal(outcome: Outcome, refused: CaseEnd | undefined): Outcome {
  const isTold = refused === undefined || outcome.verdict === 'pass' || outcome.verdict === 'skip';
  if (isTold || outcome.seen === refused.message) return outcome;
  return { ...outcome, seen: `${outcome.seen}; ${refused.message}` };
}

/** Whether a device that does not answer a hostile driver says why, or cannot say so: vhost-user has no status. */
function mayBeSilent(bench: CaseBench): boolean {
  if (bench.device.machine === 'vhost-user') return true;
  try {
    return bench.asksForReset();
  } catch {
    // It is gone by now.
    return true;
  }
}

function crashIn({ ending, errorOutput }: BootedSubject): string | undefined {
  return crashOf(ending, errorOutput);
}

/** Whether a device is lost, or the program that is the device has ended. */
function isGone({ machine, ending }: BootedSubject): boolean {
  return ending !== undefined || machine.transport.wait(0) === 'lost';
}
