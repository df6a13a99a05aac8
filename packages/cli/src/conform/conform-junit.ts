import { isFailure, type CaseReport, type ConformReport } from '@virtio-platform/conform';
import { attributes, escapeXml, isoSeconds, seconds } from '../reporters/junit-xml.ts';
import { clauseText, severityText } from './conform-printer.ts';

/**
 * A report of `conform` for CI systems: JUnit XML, a suite for each group of cases. `fail` is a failure, `hang` and
 * `gone` are errors. `again` is the command that runs one case.
 */
export function conformJunit({ device, cases }: ConformReport, startedAt: Date, again: (id: string) => string): string {
  const name = `${device.type} in ${device.machine}`;
  const groups = new Map<string, CaseReport[]>();
  for (const each of cases) {
    const group = each.id.split('/', 1)[0]!;
    groups.set(group, [...(groups.get(group) ?? []), each]);
  }
  const suites = Array.from(groups, ([group, own]) => [
    `  <testsuite ${attributes({ name: group, timestamp: isoSeconds(startedAt), ...totals(own) })}>`,
    ...own.flatMap((each) => caseLines(each, name, again).map((line) => `    ${line}`)),
    '  </testsuite>',
  ]);
  const head = `<testsuites ${attributes({ name: `virtio-platform conform: ${name}`, ...totals(cases) })}>`;
  return ['<?xml version="1.0" encoding="UTF-8"?>', head, ...suites.flat(), '</testsuites>', ''].join('\n');
}

function caseLines(each: CaseReport, device: string, again: (id: string) => string): readonly string[] {
  const { id, verdict, seen, durationMs } = each;
  const open = `<testcase ${attributes({ classname: device, name: id, time: seconds(durationMs) })}`;
  if (verdict === 'pass') return [`${open}/>`];
  if (verdict === 'skip') return [`${open}>`, `  <skipped ${attributes({ message: seen })}/>`, '</testcase>'];
  const element = verdict === 'fail' ? 'failure' : 'error';
  const words = attributes({ message: seen, type: verdict });
  return [`${open}>`, `  <${element} ${words}>${escapeXml(failureText(each, again))}</${element}>`, '</testcase>'];
}

/** What is to be known of a failure, in lines. */
function failureText(each: CaseReport, again: (id: string) => string): string {
  const { id, level, title, clause, seen, ring, known } = each;
  const severity = severityText(each);
  return [
    `${level}: ${title} (${clauseText(clause)})`,
    `seen: ${seen}`,
    ...(severity === '' ? [] : [`severity: ${severity}`]),
    ...(known === null ? [] : [`known: ${known}`]),
    ...ring,
    `again: ${again(id)}`,
  ].join('\n');
}

function totals(cases: readonly CaseReport[]): Readonly<Record<string, string | number>> {
  const count = (wanted: (each: CaseReport) => boolean): number => cases.filter(wanted).length;
  const failures = count(({ verdict }) => verdict === 'fail');
  return {
    tests: cases.length,
    failures,
    errors: count(isFailure) - failures,
    skipped: count(({ verdict }) => verdict === 'skip'),
    time: seconds(cases.reduce((sum, { durationMs }) => sum + durationMs, 0)),
  };
}
