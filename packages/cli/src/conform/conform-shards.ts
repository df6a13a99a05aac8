import type { ChildProcess, Serializable } from 'node:child_process';
import { once } from 'node:events';
import { CodedError, type ErrorCode } from '@virtio-platform/core';
import { endWithParent, startCommand } from '../child-command.ts';
import { ExitStatus } from '../exit-status.ts';
import type { CaseReport, CaseResult, ConformReport } from '@virtio-platform/conform';
import type { Shard } from '../shard.ts';

/** What the processes of `-j` came to. */
export interface ShardsResult {
  /** The reports of those that ended as they should. */
  readonly reports: readonly ConformReport[];
  /** The first that did not. */
  readonly failure: ShardFailure | undefined;
  /** What the first process printed on its error output, where none failed. */
  readonly notes: string;
}

/** A process of `-j` that did not end as it should: its exit status, and what it printed on its error output. */
export interface ShardFailure {
  readonly status: ExitStatus;
  readonly printed: string;
}

/** The error that a process of `-j` printed as JSON; `undefined` for another text. */
export function shardError(printed: string): CodedError | undefined {
  const line = printed.split('\n').find((each) => each.startsWith('{"error":'));
  if (line === undefined) return undefined;
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- this command printed it
  const { error } = JSON.parse(line) as { error: { code: ErrorCode; message: string; hint?: string | null } };
  return new CodedError(error.code, error.message, { ...(typeof error.hint === 'string' && { hint: error.hint }) });
}

/**
 * Runs the command `words` in `count` processes, each with a part of the cases and a device of its own. `onResult` is
 * called as each case ends. All processes end with this one.
 */
export async function runShards(
  words: readonly string[],
  count: number,
  cwd: string,
  onResult: (result: CaseResult) => void,
): Promise<ShardsResult> {
  const children = Array.from({ length: count }, (_, i) => startShard(words, { number: i + 1, count }, cwd));
  const end = (): void => children.forEach(({ process: child }) => child.kill('SIGTERM'));
  process.once('exit', end);
  try {
    const ended = await Promise.all(children.map((child) => resultOf(child, onResult)));
    const failure = ended.find(({ report }) => report === undefined);
    return { reports: ended.flatMap(({ report }) => report ?? []), failure, notes: ended[0]?.printed ?? '' };
  } finally {
    process.removeListener('exit', end);
    end();
  }
}

/** The results of several reports in the order of `ids`. */
export function mergedCases(reports: readonly ConformReport[], ids: readonly string[]): readonly CaseReport[] {
  const byId = new Map(reports.flatMap(({ cases }) => cases.map((each) => [each.id, each] as const)));
  return ids.flatMap((id) => byId.get(id) ?? []);
}

/** In a process of {@link runShards}: tells the parent of a case, and ends with the parent. */
export function tellParent(): ((result: CaseResult) => void) | undefined {
  const send = process.send?.bind(process);
  if (send === undefined || !endWithParent()) return undefined;
  return (result) => void send(plainResult(result));
}

/** A result without what no message carries. */
function plainResult({ known, ...rest }: CaseResult): Serializable {
  return known === undefined ? { ...rest } : { ...rest, known };
}

/** The exit statuses of a process that said itself what is wrong. */
const EXITS: readonly ExitStatus[] = [ExitStatus.Differed, ExitStatus.Usage, ExitStatus.Missing];

/** Characters of the error output that are kept. */
const MOST_TEXT = 65_536;

interface StartedShard {
  readonly process: ChildProcess;
  readonly output: { text: string };
  /** The end of the error output. */
  readonly errors: { text: string };
}

function startShard(words: readonly string[], { number, count }: Shard, cwd: string): StartedShard {
  const child = startCommand(['conform', '--json', '--shard', `${number}/${count}`, ...words], cwd);
  const output = { text: '' };
  const errors = { text: '' };
  child.stdout!.setEncoding('utf8').on('data', (text: string) => (output.text += text));
  child
    .stderr!.setEncoding('utf8')
    .on('data', (text: string) => (errors.text = (errors.text + text).slice(-MOST_TEXT)));
  return { process: child, output, errors };
}

async function resultOf(
  { process: child, output, errors }: StartedShard,
  onResult: (result: CaseResult) => void,
): Promise<ShardFailure & { readonly report: ConformReport | undefined }> {
  child.on('message', (message) => {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- this command sent it
    onResult(message as CaseResult);
  });
  // Rejects where the process cannot be started.
  const [status] = await once(child, 'close');
  const isOver = status === 0 || status === 1;
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- this command printed it
  const report = isOver && output.text !== '' ? (JSON.parse(output.text) as ConformReport) : undefined;
  return { report, status: EXITS.find((each) => each === status) ?? ExitStatus.Differed, printed: errors.text };
}
