import { fork, type ChildProcess, type Serializable } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { ExitStatus } from '../exit-status.ts';
import type { CaseReport, CaseResult, ConformReport } from '@virtio-platform/conform';

/** One of several parts of the cases: `number` from 1 on, of `count`. */
export interface Shard {
  readonly number: number;
  readonly count: number;
}

/** What the processes of `-j` came to. */
export interface ShardsResult {
  /** The reports of those that ended as they should. */
  readonly reports: readonly ConformReport[];
  /** The exit status of one that did not; it has said why on the error output. */
  readonly failure: ExitStatus | undefined;
}

/** The part of a list that a shard has: every `count`th, so that long cases are shared out. */
export function partOf<Item>(items: readonly Item[], { number, count }: Shard): readonly Item[] {
  return items.filter((_, i) => i % count === number - 1);
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
    const failure = ended.find(({ report }) => report === undefined)?.status;
    return { reports: ended.flatMap(({ report }) => report ?? []), failure };
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
  if (send === undefined) return undefined;
  process.once('disconnect', () => process.exit(1));
  return (result) => void send(plainResult(result));
}

/** A result without what no message carries. */
function plainResult({ known, ...rest }: CaseResult): Serializable {
  return known === undefined ? { ...rest } : { ...rest, known };
}

/** The exit statuses of a process that said itself what is wrong. */
const EXITS: readonly ExitStatus[] = [ExitStatus.Differed, ExitStatus.Usage, ExitStatus.Missing];

interface StartedShard {
  readonly process: ChildProcess;
  readonly output: { text: string };
}

function startShard(words: readonly string[], { number, count }: Shard, cwd: string): StartedShard {
  const isSource = import.meta.url.endsWith('.ts');
  const main = fileURLToPath(new URL(isSource ? '../main.ts' : '../main.js', import.meta.url));
  const loader = isSource ? ['--import', import.meta.resolve('tsx'), '--conditions=@virtio-platform/source'] : [];
  const child = fork(main, ['conform', '--json', '--shard', `${number}/${count}`, ...words], {
    cwd,
    execArgv: loader,
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  const output = { text: '' };
  child.stdout!.setEncoding('utf8').on('data', (text: string) => (output.text += text));
  return { process: child, output };
}

async function resultOf(
  { process: child, output }: StartedShard,
  onResult: (result: CaseResult) => void,
): Promise<{ readonly report: ConformReport | undefined; readonly status: ExitStatus }> {
  child.on('message', (message) => {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- this command sent it
    onResult(message as CaseResult);
  });
  // Rejects where the process cannot be started.
  const [status] = await once(child, 'close');
  const isOver = status === 0 || status === 1;
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- this command printed it
  const report = isOver && output.text !== '' ? (JSON.parse(output.text) as ConformReport) : undefined;
  return { report, status: EXITS.find((each) => each === status) ?? ExitStatus.Differed };
}
