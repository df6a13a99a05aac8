import { printable } from '@virtio-platform/core';
import { isAsExpected } from '@virtio-platform/runner';
import { printableData } from '../terminal.ts';
import { failureText } from './failure-text.ts';
import type { EndedRun, RunSummary } from './reporter.ts';
import { runProblems } from './run-problems.ts';
import { PrintingReporter } from './printing-reporter.ts';

/** For GitHub Actions: a workflow command for each run that is not as expected, which becomes an annotation. */
export class GithubReporter extends PrintingReporter {
  end({ ended, notRun, earlyEnd }: RunSummary): void {
    for (const run of ended) if (!isAsExpected(run.report)) this.#annotate(run);
    if (earlyEnd === undefined) return;
    const text = `${earlyEnd.reason}: ${notRun.length} of ${ended.length + notRun.length} runs were not made`;
    this.terminal.print(command('warning', { title: 'virtio-platform run' }, text));
  }

  #annotate(run: EndedRun): void {
    const report = printableData(run.report);
    const place = runProblems(run.report).find(({ place: known }) => known !== null)?.place;
    const { file, line, column } = place ?? { file: run.report.file, line: 1, column: 1 };
    const properties = { file: printable(this.options.local(file)), line, col: column, title: report.profile };
    this.terminal.print(command('error', properties, failureText(report, this.options.again(run))));
  }
}

/** One workflow command; its lines are escaped, so that it is one line. */
function command(name: string, properties: Readonly<Record<string, string | number>>, text: string): string {
  const list = Object.entries(properties).map(([key, value]) => `${key}=${escapeProperty(String(value))}`);
  return `::${name} ${list.join(',')}::${escapeData(text)}`;
}

function escapeData(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
}

function escapeProperty(text: string): string {
  return escapeData(text).replaceAll(':', '%3A').replaceAll(',', '%2C');
}
