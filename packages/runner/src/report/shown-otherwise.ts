import type { RunReport } from './report.ts';

/** What a profile expects of a run that shows nothing in particular: the rest of the account has what came instead. */
const NOTHING_EXPECTED: readonly (readonly [difference: RegExp, isShown: (report: RunReport) => boolean])[] = [
  [/^outcome: expected completed, /, ({ failure, refusal }) => failure !== null || refusal !== null],
  [/^faults: expected 0, /, ({ faults }) => faults.length > 0],
  [/^recorded faults: expected 0, /, ({ recorded }) => recorded.length > 0],
  [/^findings: expected 0, /, ({ findings }) => findings.length > 0],
  [/^leaked: expected 0, /, ({ leaked }) => leaked.first.length > 0],
  [/^verified: expected true, /, ({ workload }) => workload.mismatches.first.length > 0],
];

/** Whether a difference only states that there was, unexpectedly, what the account of the run shows anyway. */
export function isShownOtherwise(difference: string, report: RunReport): boolean {
  return NOTHING_EXPECTED.some(([pattern, isShown]) => pattern.test(difference) && isShown(report));
}
