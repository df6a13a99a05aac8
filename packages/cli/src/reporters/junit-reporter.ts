import { isAsExpected, type RunReport } from '@virtio-platform/runner';
import { exitStatusOf, ExitStatus } from '../exit-status.ts';
import { printable } from '@virtio-platform/core';
import { printableData } from '../terminal.ts';
import { failureText } from './failure-text.ts';
import type { EndedRun, ReportedPlan, RunSummary } from './reporter.ts';
import { attributes, escapeXml, isoSeconds, seconds } from './junit-xml.ts';
import { runProblems } from './run-problems.ts';
import { PrintingReporter } from './printing-reporter.ts';

/** One run in the words of JUnit. */
interface TestCase {
  readonly file: string;
  readonly result: 'passed' | 'failure' | 'error' | 'skipped';
  readonly seconds: number;
  readonly lines: readonly string[];
}

/**
 * For CI systems: JUnit XML, a suite for each profile and a case for each run. A run that is not as expected is a
 * failure, one whose plugin did something wrong an error, and one that was not made is skipped.
 */
export class JunitReporter extends PrintingReporter {
  end({ ended, notRun, earlyEnd, startedAt, durationMs }: RunSummary): void {
    const cases = [
      ...ended.map((run) => this.#caseOf(run)),
      ...notRun.map((run) => this.#skipped(run, earlyEnd?.reason ?? 'not made')),
    ];
    const suites = groupByFile(cases);
    const lines = Array.from(suites, ([file, own]) => [
      `  <testsuite ${attributes({ name: file, file, timestamp: isoSeconds(startedAt), ...totals(own) })}>`,
      ...own.flatMap(({ lines: each }) => each.map((line) => `    ${line}`)),
      '  </testsuite>',
    ]);
    const all = { name: 'virtio-platform', ...totals(cases), time: seconds(durationMs) };
    this.terminal.print('<?xml version="1.0" encoding="UTF-8"?>');
    this.terminal.print([`<testsuites ${attributes(all)}>`, ...lines.flat(), '</testsuites>'].join('\n'));
  }

  #caseOf(run: EndedRun): TestCase {
    const report = printableData(run.report);
    const file = printable(this.options.local(run.report.file));
    const head = openCase(file, report.profile, report.durationMs);
    const [first] = runProblems(report);
    const result = isAsExpected(report) ? 'passed' : isPluginError(report) ? 'error' : 'failure';
    const problem =
      result === 'passed'
        ? []
        : [
            `  <${result} ${attributes({ message: first?.message ?? 'differs', type: first?.rule ?? 'difference' })}>` +
              `${escapeXml(failureText(report, this.options.again(run)))}</${result}>`,
          ];
    const lines = [head, ...properties(report), ...problem, '</testcase>'];
    return { file, result, seconds: report.durationMs / 1000, lines };
  }

  #skipped({ run }: ReportedPlan, reason: string): TestCase {
    const file = printable(this.options.local(run.file));
    const lines = [
      openCase(file, printable(run.name), 0),
      `  <skipped ${attributes({ message: reason })}/>`,
      '</testcase>',
    ];
    return { file, result: 'skipped', seconds: 0, lines };
  }
}

function groupByFile(cases: readonly TestCase[]): Map<string, TestCase[]> {
  const groups = new Map<string, TestCase[]>();
  for (const each of cases) groups.set(each.file, [...(groups.get(each.file) ?? []), each]);
  return groups;
}

function openCase(file: string, name: string, durationMs: number): string {
  return `<testcase ${attributes({ classname: file, name, file, time: seconds(durationMs) })}>`;
}

function properties({ seed, outcome, path, platform, machine, device, startedAt, toolVersion }: RunReport): string[] {
  const values = { seed, outcome, path: path ?? 'none', platform, machine, device, startedAt, toolVersion };
  const lines = Object.entries(values).map(([name, value]) => `    <property ${attributes({ name, value })}/>`);
  return ['  <properties>', ...lines, '  </properties>'];
}

function isPluginError({ failure }: RunReport): boolean {
  return failure !== null && exitStatusOf(failure) !== ExitStatus.Differed;
}

function totals(cases: readonly TestCase[]): Readonly<Record<string, string | number>> {
  const count = (wanted: TestCase['result']): number => cases.filter(({ result }) => result === wanted).length;
  const time = cases.reduce((sum, { seconds: each }) => sum + each, 0).toFixed(3);
  const [failures, errors, skipped] = [count('failure'), count('error'), count('skipped')];
  return { tests: cases.length, failures, errors, skipped, time };
}
