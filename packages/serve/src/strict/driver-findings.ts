import type { CountedFinding, DriverFinding, FindingPlace } from './driver-finding.ts';
import { DRIVER_RULES, type DriverRule, type DriverRuleCode } from './driver-rules.ts';

/** Whether the device goes on after a finding: `fail` ends it with the first one that is no advice. */
export type StrictMode = 'warn' | 'fail';

/** What is told of a device that is served strictly. */
export interface FindingListener {
  /** Called once for each rule and queue. */
  found(finding: DriverFinding): void;
  /** Called once: the device is to end because of this finding. */
  failed(finding: DriverFinding): void;
}

/**
 * The findings of a device, over all its front-ends: one for each rule and queue, and how often it came. A driver
 * cannot make them many.
 */
export class DriverFindings {
  readonly #mode: StrictMode;
  readonly #listener: FindingListener;
  readonly #first = new Map<string, { readonly finding: DriverFinding; count: number }>();
  readonly #startedAt = performance.now();
  #errors = 0;
  #failedBy: DriverFinding | undefined;

  constructor(mode: StrictMode, listener: FindingListener) {
    this.#mode = mode;
    this.#listener = listener;
  }

  /** The finding that ended the device, with `fail`. */
  get failedBy(): DriverFinding | undefined {
    return this.#failedBy;
  }

  /** Findings that are no advice, counted each time. */
  get errors(): number {
    return this.#errors;
  }

  /** In the order in which they were found. */
  get entries(): readonly CountedFinding[] {
    return Array.from(this.#first.values(), ({ finding, count }) => ({ ...finding, count }));
  }

  /** Records that a driver broke a rule. `what` is one sentence. */
  record(code: DriverRuleCode, what: string, { clause, ...place }: FindingPlace = {}): void {
    const broken: DriverRule = DRIVER_RULES[code];
    if (broken.level === 'error') this.#errors++;
    const key = `${code} ${place.queue ?? ''}`;
    const known = this.#first.get(key);
    if (known !== undefined) {
      known.count++;
      return;
    }
    const at = Math.round(performance.now() - this.#startedAt);
    const finding: DriverFinding = { code, ...broken, clause: clause ?? broken.clause, what, ...place, at };
    this.#first.set(key, { finding, count: 1 });
    this.#listener.found(finding);
    if (this.#mode === 'warn' || broken.level === 'advice' || this.#failedBy !== undefined) return;
    this.#failedBy = finding;
    this.#listener.failed(finding);
  }
}
