import { codedErrorOf, type CodedError } from '@virtio-platform/core';
import { pluginSiteOf } from '@virtio-platform/profile';
import { causeReport, pluginReport } from './plugin-failure.ts';
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
  readonly #codedErrorOf: (thrown: unknown) => CodedError;
  #rings: readonly RingReport[] = [];
  #inside: { readonly thrown: unknown } | undefined;

  /** `coded` makes the coded error of anything that was thrown. */
  constructor(coded: (thrown: unknown) => CodedError = codedErrorOf) {
    this.#codedErrorOf = coded;
  }

  /** Notes an error, in the order in which errors happen, with the rings as they were when the first one happened. */
  note(error: unknown, rings: readonly RingReport[] = []): void {
    if (this.#errors.length === 0) this.#rings = rings;
    this.#errors.push(this.#codedErrorOf(error));
  }

  /**
   * Notes what was thrown inside the device: where a plugin threw it, that is what the others followed from; elsewhere
   * it is the cause of the first error, if that one has none.
   */
  noteInside(inside: { readonly thrown: unknown } | undefined): void {
    if (inside === undefined) return;
    this.#inside = inside;
    const error = this.#codedErrorOf(inside.thrown);
    if (pluginSiteOf(error) !== undefined) this.#errors.unshift(error);
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
    const [error] = this.#errors;
    if (first === undefined || error === undefined) return null;
    const isNew = ({ code }: { readonly code: string }, at: number): boolean =>
      reports.findIndex((report) => report.code === code) === at + 1;
    return {
      ...first,
      plugin: pluginReport(error),
      cause: causeReport(error, this.#inside),
      rings: this.#rings,
      later: others.filter(isNew).slice(0, MOST_LATER),
    };
  }
}

function describeError({ code, message, hint }: CodedError): FailureReport['later'][number] {
  return { code, message, hint: hint ?? null };
}
