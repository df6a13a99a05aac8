import { describeMismatches, isAsExpected, type RunReport } from '@virtio-platform/runner';

/** One thing that a run showed and that is no success. */
export interface RunProblem {
  /** A stable name of its kind: an error code, a code of a finding, `fault-unmapped`. */
  readonly rule: string;
  /** One sentence. */
  readonly message: string;
  /** What to do next. */
  readonly hint: string | null;
  /** Where in a profile, if that is known: lines and columns from 1. */
  readonly place: { readonly file: string; readonly line: number; readonly column: number } | null;
}

/** The most faults, recorded faults and findings of a run that become problems of their own, of each. */
const MOST = 256;

/**
 * What a run showed, the cause before what followed from it: why it failed or was refused, requests that came back
 * wrong, faults, findings, leaks, and where it differs from its profile. Of a run that is as expected, all of it is
 * expected too.
 */
export function runProblems(report: RunReport): RunProblem[] {
  const { failure, refusal, workload, faults, recorded, findings, leaked, differences } = report;
  const problems: RunProblem[] = [];
  const add = (rule: string, message: string, hint: string | null = null, place: RunProblem['place'] = null): void => {
    problems.push({ rule, message, hint, place });
  };
  if (failure !== null) add(failure.code, failure.message, failure.hint, placeOf(failure.plugin));
  if (refusal !== null)
    add(`refused-${refusal.code}`, `refused ${refusal.code} by ${refusal.rule}: ${refusal.reason}`, hintOf(refusal));
  for (const [i, sentence] of describeMismatches(workload.mismatches).entries())
    add(`mismatch-${workload.mismatches.first[i]!.kind}`, sentence);
  for (const fault of faults.slice(0, MOST)) add(`fault-${fault.cause}`, describeFault(fault));
  for (const fault of recorded.slice(0, MOST))
    add(`recorded-${fault.cause}`, `recorded by the IOMMU: ${describeFault(fault)}`);
  for (const { code, what, hint } of findings.slice(0, MOST)) add(code, what, hint);
  for (const { what, address, length } of leaked.first) add('leak', `${length} bytes at ${address}: ${what}`);
  for (const difference of differences) add('difference', difference);
  return problems;
}

/** A fault in a few words: what the device wanted to do, and why it could not. */
export function describeFault({ access, address, length, cause, detail }: RunReport['faults'][number]): string {
  const what = cause === 'device-error' ? 'an error inside the device' : `${access} of ${length} bytes at ${address}`;
  return `${what}: ${detail ?? cause}`;
}

/**
 * How a run came out, in a few words: of one that is not as expected the first thing that went wrong, of one that
 * shows what it is expected to show what that is; `undefined` for a plain success.
 */
export function runOutcome(report: RunReport): string | undefined {
  const { failure, refusal, faults, recorded, sanitizer, leaked, workload } = report;
  if (!isAsExpected(report)) {
    const [first] = runProblems(report);
    if (first === undefined) return undefined;
    return first.rule.startsWith('ERR_') ? `${first.rule} ${first.message}` : first.message;
  }
  const findings = sanitizer?.findings ?? 0;
  const seen = [
    ...(failure === null ? [] : [`failed ${failure.code}`]),
    ...(refusal === null ? [] : [`refused ${refusal.code}`]),
    ...(failure === null && refusal === null && !workload.verified ? ['not verified'] : []),
    ...counted(faults.length, 'fault'),
    ...counted(recorded.length, 'recorded fault'),
    ...counted(findings, 'finding'),
    ...counted(leaked.count, 'leak'),
  ];
  return seen.length === 0 ? undefined : `${seen.join(', ')}, as expected`;
}

function counted(count: number, noun: string): string[] {
  return count === 0 ? [] : [`${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`];
}

/** What would have to change for a device that was refused, any one of it. */
function hintOf({ change }: NonNullable<RunReport['refusal']>): string | null {
  const changes = Object.entries(change).map(([who, what]) => `${who}: ${String(what)}`);
  return changes.length === 0 ? null : changes.join('; or ');
}

function placeOf(plugin: NonNullable<RunReport['failure']>['plugin']): RunProblem['place'] {
  if (plugin === null || plugin.line < 1) return null;
  const { file, line, column } = plugin;
  return { file, line, column };
}
