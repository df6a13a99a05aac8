import { isAsExpected, type RunReport } from '@virtio-platform/runner';
import { printable } from '@virtio-platform/core';
import { printableData } from '../terminal.ts';
import type { EndedRun, RunSummary } from './reporter.ts';
import { runOutcome, runProblems } from './run-problems.ts';
import { PrintingReporter } from './printing-reporter.ts';

/** For harnesses: TAP 14, a test point for each run as it ends, with YAML diagnostics for one that fails. */
export class TapReporter extends PrintingReporter {
  #count = 0;

  begin(): void {
    this.terminal.print('TAP version 14');
  }

  ended(run: EndedRun): void {
    this.#point(run, '');
  }

  /** A point that was printed stays; what became known later has a point of its own. */
  amended(run: EndedRun): void {
    this.#point(run, ', after it had ended');
  }

  end({ notRun, earlyEnd }: RunSummary): void {
    if (earlyEnd?.isInterrupted === true) {
      this.terminal.print(`Bail out! ${printable(earlyEnd.reason)}`);
      return;
    }
    for (const { run } of notRun)
      this.terminal.print(`ok ${++this.#count} - ${description(run.name)} # SKIP ${earlyEnd?.reason ?? 'not made'}`);
    this.terminal.print(`1..${this.#count}`);
  }

  #point(run: EndedRun, suffix: string): void {
    const report = printableData(run.report);
    const isGood = isAsExpected(report);
    const name = `${description(run.report.profile)}${suffix}`;
    this.terminal.print(`${isGood ? 'ok' : 'not ok'} ${++this.#count} - ${name}`);
    this.#diagnose(report, isGood, this.options.again(run));
  }

  #diagnose(report: RunReport, isGood: boolean, again: string): void {
    const { file, seed, durationMs, outcome, path } = report;
    const at = { file: this.options.local(file), seed, duration_ms: durationMs, outcome, path };
    const values: Readonly<Record<string, unknown>> = isGood
      ? at
      : { message: runOutcome(report) ?? 'differs', severity: 'fail', ...at, problems: problems(report), again };
    const lines = Object.entries(values).flatMap(([key, value]) => yamlLines(key, value));
    this.terminal.print(['  ---', ...lines.map((line) => `  ${line}`), '  ...'].join('\n'));
  }
}

function problems(report: RunReport): readonly string[] {
  return runProblems(report).map(({ rule, message, where, hint }) => {
    const more = [...(where === null ? [] : [`Where: ${where}`]), ...(hint === null ? [] : [`Next: ${hint}`])];
    return [`${rule}: ${message}`, ...more].join('. ');
  });
}

/** JSON is YAML. */
function yamlLines(key: string, value: unknown): string[] {
  if (!Array.isArray(value)) return [`${key}: ${JSON.stringify(value)}`];
  return [`${key}:`, ...value.map((item) => `  - ${JSON.stringify(item)}`)];
}

/** The name of a run, so that no `#` in it begins a directive. */
function description(name: string): string {
  return printable(name)
    .replaceAll('\\', String.raw`\\`)
    .replaceAll('#', String.raw`\#`);
}
