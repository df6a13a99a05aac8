import { describeMismatches, describeRing, isShownOtherwise, type RunReport } from '@virtio-platform/runner';
import type { Terminal } from '../../terminal.ts';
import { explanationOfFault } from '../explanation-of-fault.ts';
import { changesOf, describeFault } from '../run-problems.ts';
import { describeProgram, failureLines } from './failure-lines.ts';
import { describeLogCut } from './log-cut.ts';
import { printFindings } from './print-findings.ts';

/** How much of a run is shown. */
export interface FailureStyle {
  /** Show the stack of what made the run fail. */
  readonly stack: boolean;
  /** Show all that the report has. */
  readonly verbose: boolean;
}

const MOST_LEAKS = 5;
const MOST_FAULTS = 5;
/** The most queues of a failed run that are shown; `--json` has all. */
const MOST_RINGS = 4;

/**
 * Prints why a run is not as expected: its name, what happened first, what followed, where, and how to make it again.
 * The one place where people are shown the failure of a run. The report is printable.
 */
export function printFailure(terminal: Terminal, report: RunReport, style: FailureStyle, again?: string): void {
  const { red, bold, dim } = terminal.colors;
  terminal.printGap();
  terminal.printSentence(0, bold(heading(report.profile)));
  if (report.refusal !== null) printRefusal(terminal, report.refusal);
  for (const line of failureLines(report, terminal)) terminal.print(line);
  printError(terminal, report);
  if (style.stack) printCause(terminal, report.failure);
  for (const mismatch of describeMismatches(otherMismatches(report)))
    terminal.printSentence(2, `${red('wrong')} ${mismatch}`);
  for (const difference of report.differences)
    if (!isShownOtherwise(difference, report)) terminal.printSentence(2, `${red('differs')} ${difference}`);
  printObserved(terminal, report, style);
  const cut = describeLogCut(report);
  if (cut !== undefined) terminal.printSentence(2, dim(cut));
  // In one line, however long: so it can be copied.
  if (again !== undefined) terminal.print(dim(`  again ${again}`));
}

/** Prints faults, leaks and findings of a run, also where they are expected. The report is printable. */
export function printObserved(terminal: Terminal, report: RunReport, { verbose }: FailureStyle): void {
  const isTold = (fault: RunReport['faults'][number]): boolean =>
    explanationOfFault(fault, report.explanations) !== undefined;
  printFaults(
    terminal,
    'fault',
    report.faults.filter((fault) => !isTold(fault)),
    verbose,
  );
  printFaults(
    terminal,
    'recorded by the IOMMU',
    report.recorded.filter((fault) => !isTold(fault)),
    verbose,
  );
  printLeaks(terminal, report.leaked, verbose);
  printFindings(terminal, report);
}

/** Which rule refused the device, what of the profile decided it, and what would have to be otherwise. */
function printRefusal(terminal: Terminal, refusal: NonNullable<RunReport['refusal']>): void {
  const { rule, reason, code, option } = refusal;
  terminal.printSentence(2, `refused ${code} by ${rule}: ${reason}`);
  if (option !== null) terminal.printHanging('  option  ', option);
  const next = changesOf(refusal);
  if (next !== null) terminal.printHanging('  next    ', terminal.colors.dim(next));
}

/** A name alone in its line; one that a CI system would take for a command is no such thing. */
function heading(name: string): string {
  return name.replace(/^(\s*)(::|##\[)/, String.raw`$1\$2`);
}

/**
 * The first error is why the run failed; what follows is indented below it. What is explained already is named by its
 * code.
 */
function printError(terminal: Terminal, { failure, explanations }: RunReport): void {
  const { red, dim } = terminal.colors;
  if (failure === null) return;
  const isExplained = explanations.some(({ kind }) => kind !== 'mismatch');
  // What an explanation begins with as the message does needs no second time.
  const [beginning = ''] = failure.message.split(': ');
  const isRepeated = explanations.some(({ what }) => what.startsWith(beginning));
  const first = isRepeated ? failure.code : `${failure.message} ${dim(`[${failure.code}]`)}`;
  if (isExplained) terminal.printHanging('  error   ', dim(first));
  else terminal.printSentence(2, `${red('failed')} ${first}`);
  if (failure.hint !== null && !isExplained) terminal.printSentence(2, dim(failure.hint));
  if (failure.program !== null && explanations.length === 0)
    terminal.printSentence(4, dim(describeProgram(failure.program)));
  const rings = failure.rings.filter(({ queue, publications }) => {
    const isShown = explanations[0]?.ring?.queue === queue;
    return !isShown && publications.wanted + publications.suppressed > 0;
  });
  for (const ring of rings.slice(0, MOST_RINGS)) terminal.printSentence(4, dim(describeRing(ring)));
  if (rings.length > MOST_RINGS) terminal.print(dim(`    and ${rings.length - MOST_RINGS} more queues`));
  for (const { code, message } of failure.later) terminal.printSentence(4, dim(`then: ${message} [${code}]`));
}

/** The mismatches that are not explained. */
function otherMismatches({ workload: { mismatches }, explanations }: RunReport): RunReport['workload']['mismatches'] {
  const explained = new Set(explanations.map(({ place }) => place.request));
  return { ...mismatches, first: mismatches.first.filter(({ request }) => !explained.has(request)) };
}

/** What was thrown, as Node prints it. */
function printCause(terminal: Terminal, failure: RunReport['failure']): void {
  const cause = failure?.cause;
  if (cause === undefined || cause === null) return;
  const { dim } = terminal.colors;
  terminal.printSentence(2, dim(`cause: ${cause.name === null ? '' : `${cause.name}: `}${cause.message}`));
  for (const frame of cause.stack) terminal.print(dim(`    ${frame}`));
}

function printFaults(terminal: Terminal, title: string, faults: RunReport['faults'], verbose: boolean): void {
  const shown = verbose ? faults : faults.slice(0, MOST_FAULTS);
  for (const fault of shown) terminal.printSentence(2, `${title}: ${describeFault(fault)}`);
  if (faults.length > shown.length)
    terminal.print(terminal.colors.dim(`  and ${faults.length - shown.length} more (${title})`));
}

function printLeaks(terminal: Terminal, { count, first }: RunReport['leaked'], verbose: boolean): void {
  const shown = verbose ? first : first.slice(0, MOST_LEAKS);
  for (const { what, address, length } of shown)
    terminal.printSentence(2, `leaked: ${length} bytes at ${address}: ${what}`);
  if (count > shown.length) terminal.print(terminal.colors.dim(`  and ${count - shown.length} more (leaked)`));
}
