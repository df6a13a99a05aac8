import type { Clause } from '@virtio-platform/core';
import { isFailure, type CaseResult } from './case-result.ts';

/** How far the cases that ran tried one requirement. */
export interface ClauseCoverage {
  readonly clause: string;
  readonly level: Clause['level'];
  readonly requires: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** `tried`; `not tried` where no case ran; or why no driver can see it. */
  readonly state: string;
}

/** The coverage by clause, in the order of the clauses. */
export function coverageOf(
  clauses: readonly Clause[],
  results: readonly Pick<CaseResult, 'clause' | 'verdict'>[],
): readonly ClauseCoverage[] {
  return clauses.map(({ section, level, requires, unseen }) => {
    const own = results.filter(({ clause }) => clause === section);
    const passed = own.filter(({ verdict }) => verdict === 'pass').length;
    const failed = own.filter(isFailure).length;
    const skipped = own.length - passed - failed;
    const state = passed + failed > 0 ? 'tried' : (unseen ?? 'not tried');
    return { clause: section, level, requires, passed, failed, skipped, state };
  });
}
