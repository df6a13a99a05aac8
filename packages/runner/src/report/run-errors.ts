import { codedErrorOf, messageOf, stackFrames, type CodedError } from '@virtio-platform/core';
import { LocatedPluginError, pluginSiteOf } from '@virtio-platform/profile';
import type { FailureReport } from './report.ts';
import type { RingReport } from './ring-report.ts';

/** Errors that are no failure of the device: the profile, a plugin or the installation is wrong. */
const NOT_THE_DEVICE = /^ERR_(PROFILE|PLUGIN|MACHINE_MISSING)/;
/** Whether an error says that the profile, a plugin or the installation is wrong, and not the device. */
export function isNotOfDevice(error: CodedError): boolean {
  return NOT_THE_DEVICE.test(error.code) || pluginSiteOf(error) !== undefined;
}

/** The most errors that are attached to the first one. */
const MOST_LATER = 8;

/**
 * The errors of a run in the order in which they happened. The first one is why the run failed; what follows is often
 * its consequence, and is attached to it.
 */
export class RunErrors {
  readonly #errors: CodedError[] = [];
  readonly #codedErrorOf: (thrown: unknown, isInside?: boolean) => CodedError;
  #listener: ((error: CodedError) => void) | undefined;
  #rings: readonly RingReport[] = [];
  #inside: { readonly thrown: unknown } | undefined;

  /** `coded` makes the coded error of anything that was thrown, also inside the device. */
  constructor(coded: (thrown: unknown, isInside?: boolean) => CodedError = (thrown) => codedErrorOf(thrown)) {
    this.#codedErrorOf = coded;
  }

  /** Has `listener` told of each error that is noted from here on. */
  watch(listener: (error: CodedError) => void): void {
    this.#listener = listener;
  }

  /** Notes an error, in the order in which errors happen, with the rings as they were when the first one happened. */
  note(error: unknown, rings: readonly RingReport[] = []): void {
    if (this.#errors.length === 0) this.#rings = rings;
    const coded = this.#codedErrorOf(error);
    this.#errors.push(coded);
    this.#listener?.(coded);
  }

  /**
   * Notes what was thrown inside the device: where a plugin threw it, that is what the others followed from; elsewhere
   * it is the cause of the first error, if that one has none.
   */
  noteInside(inside: { readonly thrown: unknown } | undefined): void {
    if (inside === undefined) return;
    this.#inside = inside;
    const error = this.#codedErrorOf(inside.thrown, true);
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

/** In one line: where a profile is wrong, its places follow what is wrong. */
function describeError(error: CodedError): FailureReport['later'][number] {
  const { code, message, hint } = error;
  const line = error instanceof LocatedPluginError ? message.replaceAll('\n', '; ') : message;
  return { code, message: line, hint: hint ?? null };
}

/** The most frames of a stack in a report. */
const MOST_FRAMES = 50;

/** Which plugin an error came out of; `null` where it came out of none. */
function pluginReport(error: CodedError): FailureReport['plugin'] {
  const site = pluginSiteOf(error);
  if (site === undefined) return null;
  const { kind, plugin, hook, location } = site;
  return { kind, name: plugin, hook: hook ?? null, ...location };
}

/**
 * What was thrown first, with its stack: the cause of the error, or the error itself where a plugin threw it with a
 * code. `inside` is what was thrown inside the device, the cause of an error that has no other.
 */
function causeReport(error: CodedError, inside?: { readonly thrown: unknown }): FailureReport['cause'] {
  const { cause } = error;
  if (cause !== undefined) return describeThrown(cause);
  if (pluginSiteOf(error) !== undefined) return describeThrown(error);
  return inside === undefined ? null : describeThrown(inside.thrown);
}

function describeThrown(thrown: unknown): NonNullable<FailureReport['cause']> {
  return { name: nameOf(thrown), message: messageOf(thrown), stack: stackFrames(thrown).slice(0, MOST_FRAMES) };
}

function nameOf(thrown: unknown): string | null {
  try {
    return thrown instanceof Error ? thrown.name : null;
  } catch {
    return null;
  }
}
