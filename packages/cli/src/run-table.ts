import { describeMismatches, describeRing, isAsExpected, type RunReport } from '@virtio-platform/runner';
import { describeProgram, failureLines } from './print-failure.ts';
import { plainTable } from './plain-table.ts';
import { printFindings } from './print-findings.ts';
import type { Terminal } from './terminal.ts';

/** Prints the runs as a table for people, then what differed, then one line that sums up. */
export function printRunTable(
  terminal: Terminal,
  reports: readonly RunReport[],
  durationMs: number,
  { stack }: { readonly stack: boolean } = { stack: false },
): void {
  const { bold, dim } = terminal.colors;
  const head = [
    'profile',
    'platform',
    'features accepted',
    'path',
    'requests',
    'bounced',
    'mappings',
    'faults',
    'result',
  ];
  const rows = reports.map((report) => row(terminal, report));
  const titles = head.map((title) => bold(title));
  const table = plainTable(titles, {
    colWidths: [null, null, featureWidth(terminal.columns, reports), null, null, null, null, null, null],
    colAligns: ['left', 'left', 'left', 'left', 'right', 'right', 'right', 'right', 'left'],
    wordWrap: true,
  });
  table.push(...rows);
  terminal.print(table.toString());
  for (const report of reports) printDifferences(terminal, report, stack);
  printStatistics(terminal, reports);
  const blind = reports.filter(({ sanitizer }) => sanitizer?.seesDevice === false).length;
  if (blind > 0) {
    const which = blind === 1 ? 'one run' : `${blind} runs`;
    terminal.print(dim(`\nof ${which} the sanitizer saw only the driver: the device is not in its thread`));
  }
  const good = reports.filter(isAsExpected).length;
  const requests = reports.reduce((sum, report) => sum + report.workload.requests, 0);
  terminal.print('');
  terminal.print(
    `${good} of ${reports.length} runs as expected, ${requests.toLocaleString('en')} requests ${dim(`in ${(durationMs / 1000).toFixed(1)} s; +n counts the features that are not shown`)}`,
  );
}

/** Features that decide how a ring and its addresses work, the ones that decide most first. */
const TELLING_FEATURES = [
  'ACCESS_PLATFORM_IDENTITY_ADDRESS',
  'ACCESS_PLATFORM_NO_TRANSLATION',
  'ACCESS_PLATFORM',
  'VERSION_1',
  'RING_PACKED',
  'IN_ORDER',
  'RING_EVENT_IDX',
  'RING_INDIRECT_DESC',
  'ANY_LAYOUT',
];
const MOST_FEATURES = 5;

/**
 * The most telling features, without what every name shares, and how many more there are; `--json` and `explain` name
 * them.
 */
function featureSummary({ features: { accepted } }: RunReport): string {
  const names = TELLING_FEATURES.filter((name) => accepted.includes(name)).slice(0, MOST_FEATURES);
  const more = accepted.length - names.length;
  return [...names.map((name) => name.replace('RING_', '')), ...(more > 0 ? [`+${more}`] : [])].join(' ');
}

/** What the other columns leave of a narrow terminal; all that is needed where there is room, or no terminal. */
function featureWidth(columns: number, reports: readonly RunReport[]): number {
  const needed = Math.max(17, ...reports.map((report) => featureSummary(report).length)) + 2;
  const profile = Math.max(7, ...reports.map(({ profile }) => profile.length));
  return Math.min(needed, Math.max(20, columns - profile - 88));
}

function row(terminal: Terminal, report: RunReport): string[] {
  const { green, red, dim } = terminal.colors;
  const result = isAsExpected(report) ? green(resultOf(report)) : red(resultOf(report));
  return [
    report.profile,
    report.platform,
    featureSummary(report) || dim('none'),
    report.path ?? dim('none'),
    report.workload.requests.toLocaleString('en'),
    bytes(report.dma.bytesBounced),
    report.dma.maps.toLocaleString('en'),
    isClean(report) ? '0' : red(faultCount(report)),
    `${result} ${dim(`${report.durationMs} ms`)}`,
  ];
}

function isClean({ faults, recorded }: RunReport): boolean {
  return faults.length === 0 && recorded.length === 0;
}

function faultCount({ faults, recorded }: RunReport): string {
  return recorded.length === 0 ? String(faults.length) : `${faults.length} (+${recorded.length} recorded)`;
}

function resultOf(report: RunReport): string {
  const { count } = report.leaked;
  return count === 0 ? endOf(report) : `${endOf(report)}, ${count} leaked`;
}

function endOf(report: RunReport): string {
  if (report.outcome === 'refused') return `refused ${report.refusal?.code ?? ''}`;
  if (report.outcome === 'failed') return 'failed';
  return report.workload.verified ? 'verified' : 'not verified';
}

function printDifferences(terminal: Terminal, report: RunReport, stack: boolean): void {
  const { red, bold } = terminal.colors;
  const isQuiet = isClean(report) && report.findings.length === 0 && report.leaked.count === 0;
  if (isAsExpected(report) && isQuiet) return;
  terminal.print(`\n${bold(report.profile)}`);
  if (report.refusal !== null) terminal.printSentence(2, `refused by ${report.refusal.rule}: ${report.refusal.reason}`);
  for (const line of failureLines(report, terminal)) terminal.print(line);
  printFailure(terminal, report);
  if (stack) printCause(terminal, report.failure);
  for (const mismatch of describeMismatches(otherMismatches(report)))
    terminal.printSentence(2, `${red('wrong')} ${mismatch}`);
  for (const difference of report.differences) terminal.printSentence(2, `${red('differs')} ${difference}`);
  printFaults(terminal, 'fault', report.faults);
  printFaults(terminal, 'recorded by the IOMMU', report.recorded);
  printLeaks(terminal, report.leaked);
  printFindings(terminal, report);
}

const MOST_LEAKS = 5;

function printLeaks(terminal: Terminal, { count, first }: RunReport['leaked']): void {
  const shown = first.slice(0, MOST_LEAKS);
  for (const { what, address, length } of shown)
    terminal.printSentence(2, `leaked: ${length} bytes at ${address}: ${what}`);
  if (count > shown.length) terminal.print(terminal.colors.dim(`  and ${count - shown.length} more (leaked)`));
}

/** What platforms show of themselves, a line for each run: `grants: 12 used, 500 free`. */
function printStatistics(terminal: Terminal, reports: readonly RunReport[]): void {
  const lines = reports.flatMap(({ profile, statistics, configuration }) => {
    const groups = Object.entries(statistics).map(([what, counters]) => {
      const each = Object.entries(counters).map(([name, value]) => `${value.toLocaleString('en')} ${name}`);
      return `${what}: ${each.join(', ')}`;
    });
    const changes = configuration.seen.map((change) => `the device changed its ${change}`);
    const all = [...groups, ...changes];
    return all.length === 0 ? [] : [`${profile}  ${all.join('; ')}`];
  });
  if (lines.length > 0) terminal.print('');
  for (const line of lines) terminal.printSentence(0, terminal.colors.dim(line));
}

/** The most queues of a failed run that are shown; `--json` has all. */
const MOST_RINGS = 4;

/**
 * The first error is why the run failed; what follows is indented below it. What is explained already is named by its
 * code.
 */
function printFailure(terminal: Terminal, { failure, explanations }: RunReport): void {
  const { red, dim } = terminal.colors;
  if (failure === null) return;
  const isExplained = explanations.some(({ kind }) => kind !== 'mismatch');
  const first = `${failure.message} ${dim(`[${failure.code}]`)}`;
  terminal.printSentence(2, isExplained ? dim(`error   ${first}`) : `${red('failed')} ${first}`);
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

const MOST_FAULTS = 5;

function printFaults(terminal: Terminal, title: string, faults: RunReport['faults']): void {
  for (const { access, address, length, cause, detail } of faults.slice(0, MOST_FAULTS)) {
    const what = cause === 'device-error' ? 'an error inside the device' : `${access} of ${length} bytes at ${address}`;
    terminal.printSentence(2, `${title}: ${what}: ${detail ?? cause}`);
  }
  if (faults.length > MOST_FAULTS) {
    terminal.print(terminal.colors.dim(`  and ${faults.length - MOST_FAULTS} more (${title})`));
  }
}

function bytes(count: number): string {
  if (count < 1024) return String(count);
  if (count < 1024 * 1024) return `${(count / 1024).toFixed(1)} KiB`;
  return `${(count / 1024 / 1024).toFixed(1)} MiB`;
}
