import { isCodedError, type ConformCase } from '@virtio-platform/core';
import { CaseEnd, type Severity, type Verdict } from '../bench/case-end.ts';
import type { CaseResult } from './case-result.ts';

/** The result of a case that is not over: what was seen so far. */
export interface Outcome {
  readonly verdict: Verdict;
  readonly seen: string;
  readonly severity: Severity;
  readonly ring: readonly string[];
}

/** The outcome of a case that ended with its last line. */
export const PASSED: Outcome = { verdict: 'pass', seen: '', severity: 'none', ring: [] };

/** Lines of a program's error output that are shown of one that crashed. */
const LAST_LINES = 3;

/** What AddressSanitizer calls accesses to memory that is not that of the access. */
const MEMORY_ERROR =
  /AddressSanitizer: (attempting )?[\w-]*(buffer-overflow|buffer-underflow|use-after|container-overflow|free\b)/;

/** The outcome of a case that was not tried. */
export function skipped(why: string): Outcome {
  return { ...PASSED, verdict: 'skip', seen: why };
}

/** The outcome of a device that is gone. What a sanitizer stopped would have reached memory of the host. */
export function goneOutcome(seen: string): Outcome {
  return { verdict: 'gone', seen, severity: MEMORY_ERROR.test(seen) ? 'host-memory' : 'crash', ring: [] };
}

/** The outcome of a case that ended before its last line. */
export function outcomeOf({ verdict, message, severity }: CaseEnd, ring: readonly string[]): Outcome {
  return { verdict, seen: message, severity, ring: verdict === 'skip' ? [] : ring };
}

/** What a case threw, as its end. Throws what is neither an end nor a coded error. */
export function endOf(thrown: unknown): CaseEnd {
  if (thrown instanceof CaseEnd) return thrown;
  if (!isCodedError(thrown)) throw thrown;
  if (thrown.code === 'ERR_DEVICE_LOST') return new CaseEnd('gone', thrown.message, 'crash');
  if (thrown.code === 'ERR_DEVICE_RESET_TIMEOUT') return new CaseEnd('hang', thrown.message, 'wedged');
  return new CaseEnd('fail', thrown.message);
}

/** Whether a program printed the report of a sanitizer, or has begun to. */
export function isSanitizerReport(output: string): boolean {
  return output.includes('Sanitizer:') || output.includes(': runtime error: ');
}

/** How the program that is the device crashed; an orderly exit is none. */
export function crashOf(ending: string | undefined, errorOutput: string): string | undefined {
  const output = errorOutput.trim();
  const isOrderly = ending === undefined || ending.startsWith('status');
  // A build with sanitizers exits with a status where another one would be ended by a signal.
  if (isOrderly && !isSanitizerReport(output)) return undefined;
  const how =
    ending === undefined ? 'the back-end reports an error and runs on' : `the back-end was ended by ${ending}`;
  // What comes before may be of other cases; the report of a sanitizer is one text.
  const words = isSanitizerReport(output) ? output : output.split('\n').slice(-LAST_LINES).join('\n');
  return `${how}${words === '' ? '' : `; it printed: ${words}`}`;
}

/** The result of a case that began at `startedAt`. */
export function resultOf(
  id: string,
  { clause, level, title }: Pick<ConformCase, 'clause' | 'level' | 'title'>,
  outcome: Outcome,
  startedAt: number,
  knownCases: ReadonlyMap<string, string> | undefined,
): CaseResult {
  const known = outcome.verdict === 'pass' ? undefined : knownCases?.get(id);
  return { id, clause, level, title, ...outcome, known, durationMs: performance.now() - startedAt };
}
