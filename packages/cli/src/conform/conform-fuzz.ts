import type { CaseResult, DeviceReport, DeviceTrial, FuzzFailure, Operation } from '@virtio-platform/conform';
import { ExitStatus } from '../exit-status.ts';
import { printableData, type Terminal } from '../terminal.ts';
import { seenLines, severityText } from './conform-printer.ts';
import type { FuzzFiles } from './fuzz-files.ts';

/** What is fuzzed, and how. */
export interface FuzzCommandOptions {
  readonly device: DeviceReport;
  readonly runs: number;
  readonly seed: number;
  readonly json: boolean;
}

/** `conform --fuzz`: hostile operations at random, and the failures, each once and as short as was found. */
export async function fuzzCommand(
  terminal: Terminal,
  trial: DeviceTrial,
  files: FuzzFiles,
  { device, runs, seed, json }: FuzzCommandOptions,
): Promise<ExitStatus> {
  const saved = new Map<FuzzFailure, string | undefined>();
  const { bold, dim } = terminal.colors;
  const startedAt = performance.now();
  const result = await trial.fuzz({
    runs,
    seed,
    corpus: files.samples(),
    onSample: (sample) => files.keep(sample),
    onFailure: (failure) => {
      const file = files.saveFailure(failure, failure.result, seed);
      saved.set(failure, file);
      if (!json) printFailure(terminal, printableData(failure), file);
    },
  });
  const status = result.failures.length === 0 ? ExitStatus.AsExpected : ExitStatus.Differed;
  if (json) {
    const failures = result.failures.map(({ result: { verdict, seen, severity }, ...rest }) => ({
      ...rest,
      verdict,
      seen,
      severity,
    }));
    const named = failures.map((each, i) => ({ ...each, file: saved.get(result.failures[i]!) ?? null }));
    terminal.printJson({
      device,
      seed,
      runs: result.runs,
      samples: result.samples,
      ended: result.ended ?? null,
      failures: named,
    });
    return status;
  }
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  if (result.ended !== undefined) terminal.print(`ended early: ${printableData(result.ended)}`);
  terminal.print('');
  const found = result.failures.length === 1 ? '1 failure' : `${result.failures.length} failures`;
  const rest = dim(`${result.samples} samples, seed ${seed}, in ${seconds} s`);
  terminal.print(`${bold(`${found} in ${result.runs} runs`)} ${rest}`);
  return status;
}

/** Writes the operations of a random run that failed, as few as still fail. */
export async function saveRandom(
  terminal: Terminal,
  trial: DeviceTrial,
  files: FuzzFiles,
  result: CaseResult,
  operations: readonly Operation[],
): Promise<void> {
  const layout = result.id.endsWith('/packed') ? 'packed' : 'split';
  const sample = await trial.shrink({ layout, operations });
  const file = files.saveFailure(sample, result, 0);
  terminal.printError(
    `${result.id}: ${sample.operations.length} of ${operations.length} operations still fail: ${file}`,
  );
}

function printFailure(terminal: Terminal, { key, result, operations, before, run }: FuzzFailure, file?: string): void {
  const { bold, dim, red } = terminal.colors;
  terminal.print(`${red(result.verdict)} ${bold(key)}`);
  const severity = severityText(result);
  if (severity !== '') terminal.printSentence(5, severity);
  for (const line of seenLines(result.seen, 72)) terminal.print(`     ${line}`);
  terminal.print(dim(`     run ${run + 1}: ${operations.length} of ${before} operations`));
  for (const operation of operations.slice(0, MOST_SHOWN)) terminal.print(`     ${JSON.stringify(operation)}`);
  if (operations.length > MOST_SHOWN) terminal.print(dim(`     and ${operations.length - MOST_SHOWN} more`));
  if (file !== undefined) terminal.print(dim(`     replay: virtio-platform conform --replay ${file} ...`));
}

/** Operations of a failure that the terminal shows. */
const MOST_SHOWN = 12;
