import type { Severity, Verdict } from '../bench/case-end.ts';

/** What became of one case. */
export interface CaseResult {
  readonly id: string;
  readonly clause: string;
  readonly level: 'MUST' | 'SHOULD';
  readonly title: string;
  readonly verdict: Verdict;
  /** What was seen, or why the case was skipped; empty for one that passed. */
  readonly seen: string;
  /** What an attacker gains by it; `none` unless the case failed. */
  readonly severity: Severity;
  /** The rings when the case ended, in lines; none where it passed or was skipped. */
  readonly ring: readonly string[];
  /** Why the failure is known: a deviation of this back-end that is written down. */
  readonly known?: string | undefined;
  readonly durationMs: number;
}

/** Whether the device did not do what it has to. */
export function isFailure({ verdict }: Pick<CaseResult, 'verdict'>): boolean {
  return verdict !== 'pass' && verdict !== 'skip';
}
