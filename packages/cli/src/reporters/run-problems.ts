import {
  describeAccess,
  describeMismatches,
  differsIn,
  isAsExpected,
  isShownOtherwise,
  type ComparedPart,
  type RunReport,
} from '@virtio-platform/runner';
import { explanationOfFault } from './explanation-of-fault.ts';
import { whereOfFinding } from './where-of-finding.ts';

/** One thing that a run showed and that is no success. */
export interface RunProblem {
  /** A stable name of its kind: an error code, a code of a finding, `fault-unmapped`. */
  readonly rule: string;
  /** One sentence. */
  readonly message: string;
  /** Where it happened, in words: request, queue, buffer, addresses; `null` where that is not known. */
  readonly where: string | null;
  /** What to do next. */
  readonly hint: string | null;
  /** Where in a profile, if that is known: lines and columns from 1. */
  readonly place: { readonly file: string; readonly line: number; readonly column: number } | null;
}

/** The most faults, recorded faults and findings of a run that become problems of their own, of each. */
const MOST = 256;

/**
 * What a run showed: why it failed or was refused, requests that came back wrong, faults, findings, leaks, and where it
 * differs from its profile. What the profile does not expect comes first, and the cause before what followed from it.
 * Of a run that is as expected, all of it is expected too.
 */
export function runProblems(report: RunReport): RunProblem[] {
  const { failure, refusal, workload, faults, recorded, findings, leaked, differences, explanations } = report;
  const problems: RunProblem[] = [];
  const expected: RunProblem[] = [];
  const adder =
    (...parts: readonly ComparedPart[]) =>
    (rule: string, message: string, { where = null, hint = null, place = null }: Circumstances = {}): void => {
      const isExpected = parts.length > 0 && !parts.some((part) => differsIn(report, part));
      (isExpected ? expected : problems).push({ rule, message, where, hint, place });
    };
  const addFailed = adder('outcome', 'failure');
  if (failure !== null) {
    const explanation = explanations.findLast(({ kind }) => !SURVIVED.has(kind));
    const { what = failure.message, where = null, next = failure.hint } = explanation ?? {};
    addFailed(failure.code, what, { where, hint: next ?? failure.hint, place: placeOf(failure.plugin) });
  }
  const addRefused = adder('outcome', 'refusal');
  if (refusal !== null)
    addRefused(`refused-${refusal.code}`, `refused ${refusal.code} by ${refusal.rule}: ${refusal.reason}`, {
      where: refusal.option === null ? null : `decided by ${refusal.option}`,
      hint: changesOf(refusal),
    });
  const add = adder();
  const addMismatch = report.outcome === 'completed' ? adder('verified') : add;
  for (const [i, sentence] of describeMismatches(workload.mismatches).entries()) {
    const { kind, request } = workload.mismatches.first[i]!;
    const explained = explanations.find(({ place }) => place.request === request);
    const { what = sentence, where = null, next: hint = null } = explained ?? {};
    addMismatch(`mismatch-${kind}`, what, { where, hint });
  }
  const addFault = adder('faults');
  for (const fault of faults.slice(0, MOST)) {
    const { what = describeFault(fault), ...circumstances } = circumstancesOf(fault, explanations);
    addFault(`fault-${fault.cause}`, what, circumstances);
  }
  const addRecorded = adder('recorded faults');
  for (const fault of recorded.slice(0, MOST)) {
    const { what, ...circumstances } = circumstancesOf(fault, explanations);
    addRecorded(`recorded-${fault.cause}`, what ?? `recorded by the IOMMU: ${describeFault(fault)}`, circumstances);
  }
  const addFinding = adder('findings');
  for (const finding of findings.slice(0, MOST)) {
    const { code, what, hint } = finding;
    addFinding(code, what, { where: whereOfFinding(finding), hint });
  }
  const addLeak = adder('leaked');
  for (const { what, address, length } of leaked.first) addLeak('leak', `${length} bytes at ${address}: ${what}`);
  for (const difference of differences) if (!isShownOtherwise(difference, report)) add('difference', difference);
  return [...problems, ...expected];
}

/** What is known of a problem beside its sentence. */
type Circumstances = Partial<Pick<RunProblem, 'where' | 'hint' | 'place'>>;

/** What the explanation of a fault says; of one that has none, where it is and what shows more. */
function circumstancesOf(
  fault: RunReport['faults'][number],
  explanations: RunReport['explanations'],
): Circumstances & { readonly what?: string } {
  const explained = explanationOfFault(fault, explanations);
  if (explained !== undefined) {
    const { kind, what, where, next: hint } = explained;
    return kind === 'fault' ? { what, where, hint } : { where, hint };
  }
  if (fault.cause === 'device-error') return {};
  const { address } = fault;
  const hint = `\`explain\` with --address ${address} walks the address through the tables of the platform`;
  return { where: `device address ${address}`, hint };
}

/** What a run goes on after: an explanation of it is not of what ended the run. */
const SURVIVED: ReadonlySet<string> = new Set(['mismatch', 'finding', 'notification']);

/** A fault in a few words: what the device wanted to do, and why it could not. */
export function describeFault(fault: RunReport['faults'][number]): string {
  const { cause, detail } = fault;
  return `${cause === 'device-error' ? 'an error inside the device' : describeAccess(fault)}: ${detail ?? cause}`;
}

/**
 * How a run came out, in a few words: of one that is not as expected the first thing that went wrong, of one that
 * shows what it is expected to show what that is; `undefined` for a plain success.
 */
export function runOutcome(report: RunReport): string | undefined {
  const { failure, refusal, faults, recorded, sanitizer, leaked, workload, explanations } = report;
  if (!isAsExpected(report)) {
    const [first] = runProblems(report);
    const [explanation] = explanations;
    if (first === undefined) return undefined;
    // A refusal and a failure before the rings were there have no explanation.
    if (explanation !== undefined && first.rule !== 'difference') return explanation.what;
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

/** What would have to change for a device that was refused, any one of it; `null` where that is not known. */
export function changesOf({ change }: NonNullable<RunReport['refusal']>): string | null {
  const changes = Object.entries(change).map(([who, what]) => `${who}: ${String(what)}`);
  return changes.length === 0 ? null : changes.join('; or ');
}

function placeOf(plugin: NonNullable<RunReport['failure']>['plugin']): RunProblem['place'] {
  if (plugin === null || plugin.line < 1) return null;
  const { file, line, column } = plugin;
  return { file, line, column };
}
