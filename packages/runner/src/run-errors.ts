import { codedErrorOf, type CodedError } from '@virtio-platform/core';
import type { FailureReport } from './report.ts';
import type { RingReport } from './ring-report.ts';

/** Errors that are no failure of the device: the profile, a plugin or the installation is wrong. */
const NOT_THE_DEVICE = /^ERR_(PROFILE|PLUGIN|MACHINE_MISSING)/;
/** The most errors that are attached to the first one. */
const MOST_LATER = 8;

/**
 * The errors of a run in the order in which they happened. The first one is why the run failed; what follows is often
 * its consequence, and is attached to it.
 */
export class RunErrors {
  readonly #errors: CodedError[] = [];
  #rings: readonly RingReport[] = [];

  /** Notes an error, in the order in which errors happen, with the rings as they were when the first one happened. */
  note(error: unknown, rings: readonly RingReport[] = []): void {
    if (this.#errors.length === 0) this.#rings = rings;
    this.#errors.push(codedErrorOf(error));
  }

  /** Throws the first error where it is no failure of the device; that error then ends the run. */
  throwUnlessOfDevice(): void {
    const [first] = this.#errors;
    if (first !== undefined && NOT_THE_DEVICE.test(first.code)) throw first;
  }

  /**
   * The first error, with the later ones attached: each code once, since a device that is lost is lost for every step
   * that follows. `null` where nothing failed.
   */
  get report(): Omit<FailureReport, 'program'> | null {
    const reports = this.#errors.map(describeError);
    const [first, ...others] = reports;
    if (first === undefined) return null;
    const isNew = ({ code }: { readonly code: string }, at: number): boolean =>
      reports.findIndex((report) => report.code === code) === at + 1;
    return { ...first, rings: this.#rings, later: others.filter(isNew).slice(0, MOST_LATER) };
  }
}

function describeError({ code, message, hint }: CodedError): Omit<FailureReport, 'later' | 'rings' | 'program'> {
  return { code, message, hint: hint ?? null };
}
