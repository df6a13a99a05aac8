import { isAbsolute } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isAsExpected, TOOL_VERSION } from '@virtio-platform/runner';
import { printableData } from '../terminal.ts';
import type { EndedRun, RunSummary } from './reporter.ts';
import { runProblems, type RunProblem } from './run-problems.ts';
import { PrintingReporter } from './printing-reporter.ts';

const SCHEMA = 'https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json';
const HOME = 'https://github.com/virtio-platform/virtio-platform';
const DOCUMENTS = `${HOME}/blob/main/packages/core/docs`;

/** A part of a SARIF log. */
type SarifObject = Readonly<Record<string, unknown>>;

/**
 * For viewers of analysis results: SARIF 2.1.0, a result for each failure, wrong request, fault, finding, leak and
 * difference, at the profile that it was seen with. What a profile expects is there as suppressed.
 */
export class SarifReporter extends PrintingReporter {
  end({ ended, earlyEnd, startedAt, durationMs }: RunSummary): void {
    const rules = new Map<string, number>();
    const results = ended.flatMap((run) => this.#resultsOf(run, rules));
    const invocation = {
      executionSuccessful: earlyEnd === undefined,
      startTimeUtc: startedAt.toISOString(),
      endTimeUtc: new Date(startedAt.getTime() + durationMs).toISOString(),
    };
    const driver = {
      name: 'virtio-platform',
      version: TOOL_VERSION,
      informationUri: HOME,
      rules: Array.from(rules.keys(), ruleOf),
    };
    this.terminal.printJson({
      $schema: SCHEMA,
      version: '2.1.0',
      runs: [{ tool: { driver }, invocations: [invocation], columnKind: 'utf16CodeUnits', results }],
    });
  }

  #resultsOf(run: EndedRun, rules: Map<string, number>): SarifObject[] {
    const isExpected = isAsExpected(run.report);
    const { profile, seed, platform, machine, device, file } = run.report;
    const shown = printableData(run.report);
    const again = this.options.again(run);
    const texts = runProblems(shown);
    return runProblems(run.report).map((problem, at) => {
      const { rule, place } = problem;
      const printed = texts[at]!;
      if (!rules.has(rule)) rules.set(rule, rules.size);
      const { file: uri, line, column } = place ?? { file, line: 1, column: 1 };
      const physicalLocation = {
        artifactLocation: this.#artifact(uri),
        region: { startLine: line, startColumn: column },
      };
      return {
        ruleId: rule,
        ruleIndex: rules.get(rule),
        level: isExpected ? 'note' : 'error',
        message: { text: messageOf(printed, shown.profile) },
        locations: [{ physicalLocation, logicalLocations: [{ name: profile, kind: 'run' }] }],
        ...(isExpected && { suppressions: [{ kind: 'external', justification: 'the profile expects it' }] }),
        properties: { seed, platform, machine, device, where: printed.where, next: printed.hint, again },
      };
    });
  }

  /** A file in the folder that the command runs in is relative to it. */
  #artifact(file: string): SarifObject {
    const local = this.options.local(file);
    if (isAbsolute(local) || local.startsWith('..')) return { uri: pathToFileURL(file).href };
    return { uri: local.split('/').map(encodeURIComponent).join('/'), uriBaseId: '%SRCROOT%' };
  }
}

/** What, where and the next step: what the terminal begins with. */
function messageOf({ message, where, hint }: RunProblem, run: string): string {
  return [
    `${run}: ${message}`,
    ...(where === null ? [] : [`Where: ${where}`]),
    ...(hint === null ? [] : [`Next: ${hint}`]),
  ].join('. ');
}

function ruleOf(id: string): SarifObject {
  const page = id.startsWith('ERR_') ? 'errors' : id.startsWith('DMA-') ? 'findings' : undefined;
  return {
    id,
    ...(page !== undefined && { helpUri: `${DOCUMENTS}/${page}.md#${id.toLowerCase()}` }),
    ...(page === undefined && { helpUri: `${HOME}/blob/main/packages/cli/docs/reporters.md#rules-of-sarif` }),
  };
}
