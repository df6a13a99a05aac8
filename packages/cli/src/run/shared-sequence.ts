import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { CodedError, codedErrorOf } from '@virtio-platform/core';
import { isAsExpected } from '@virtio-platform/runner';
import type { BlobEntry, BlobHead } from '../blob/blob-lines.ts';
import { toldError } from '../blob/merge-blobs.ts';
import { BlobReader } from '../blob/read-blob.ts';
import { startCommand } from '../child-command.ts';
import { ExitStatus, worstStatus } from '../exit-status.ts';
import type { EarlyEnd, EndedRun, Reporter, RunSummary } from '../reporters/reporter.ts';
import type { Shard } from '../shard.ts';
import type { RunJobs } from './run-arguments.ts';
import type { PlannedRun } from './run-plan.ts';
import { earlyEndOf, statusOfReport, type SequenceOptions } from './run-sequence.ts';

/** How the runs are shared out. */
export interface SharedOptions extends Pick<SequenceOptions, 'bail' | 'interruption' | 'progress' | 'printError'> {
  readonly jobs: RunJobs;
  readonly cwd: string;
  /** The part of the runs that this command makes. */
  readonly shard: Shard;
  /** All runs, those of other shards too, and what a blob of them begins with. */
  readonly whole: readonly PlannedRun[];
  readonly head: BlobHead;
}

/** Characters of the error output of a process that are kept. */
const MOST_TEXT = 16_384;
/** Characters of it in a message. */
const MOST_SHOWN = 400;

/**
 * The runs of one command, made by several processes of it, each with a shard of them and a blob of that as its output.
 * Each run is told of once all before it were: the output is that of one process.
 */
export class SharedSequence {
  readonly #reporter: Required<Reporter>;
  readonly #options: SharedOptions;
  readonly #processes: ChildProcess[] = [];
  /** What came of runs that were not told of yet. */
  readonly #arrived = new Map<PlannedRun, EndedRun<PlannedRun>>();
  /** By run that was told of: where it is in {@link #ended}. */
  readonly #told = new Map<PlannedRun, number>();
  readonly #ended: EndedRun<PlannedRun>[] = [];
  #plan: readonly PlannedRun[] = [];
  /** The place in the plan of the first run that was not told of. */
  #next = 0;
  /** Why the runs that were not told of are not wanted any more. */
  #bailed: EarlyEnd | undefined;
  #lost: EarlyEnd | undefined;
  #status: ExitStatus = ExitStatus.AsExpected;

  constructor(reporter: Required<Reporter>, options: SharedOptions) {
    this.#reporter = reporter;
    this.#options = options;
  }

  /** Of the runs that were made. */
  get status(): ExitStatus {
    return this.#status;
  }

  /** Processes: one has at least a run. */
  get #count(): number {
    return Math.min(this.#options.jobs.count, this.#plan.length);
  }

  /** Makes the runs, until one of them is the last that is wanted. */
  async make(plan: readonly PlannedRun[]): Promise<Pick<RunSummary, 'ended' | 'notRun' | 'earlyEnd'>> {
    this.#plan = plan;
    this.#reporter.begin(plan);
    const { interruption } = this.#options;
    const end = (): void => this.#end();
    interruption.signal.addEventListener('abort', end, { once: true });
    process.once('exit', end);
    try {
      this.#showProgress();
      await Promise.all(Array.from({ length: this.#count }, (_, i) => this.#follow(i)));
    } finally {
      interruption.signal.removeEventListener('abort', end);
      process.removeListener('exit', end);
      this.#end();
    }
    // Of runs that other processes were to make before them, some have not ended.
    if (this.#bailed === undefined) for (const planned of plan) this.#tell(planned);
    const notRun = plan.filter((planned) => !this.#told.has(planned));
    const earlyEnd = this.#bailed ?? earlyEndOf([], this.#options) ?? this.#lost;
    return { ended: this.#ended, notRun, earlyEnd: notRun.length === 0 ? undefined : earlyEnd };
  }

  /** Starts the process of one part of the runs, and takes its lines until it ends. */
  async #follow(part: number): Promise<void> {
    const { jobs, cwd, shard } = this.#options;
    const count = shard.count * this.#count;
    const own = `${shard.number + part * shard.count}/${count}`;
    const child = startCommand([...jobs.words, '--shard', own, '--reporter', 'blob'], cwd);
    this.#processes.push(child);
    let printed = '';
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (printed = (printed + text).slice(-MOST_TEXT)));
    const reader = new BlobReader(`the process of shard ${own}`, (entry) => this.#arrive(entry));
    const closed = once(child, 'close');
    let hasEnded = false;
    try {
      for await (const text of createInterface({ input: child.stdout!, crlfDelay: Infinity })) {
        const isFirst = reader.head === undefined;
        reader.read({ text, isWhole: true });
        if (isFirst) this.#checkPlan(reader.head);
      }
      hasEnded = true;
      reader.blob();
    } catch (error) {
      if (this.#isEnding) return;
      child.kill('SIGTERM');
      const [status, signal] = await closed;
      this.#lose(codedErrorOf(error), hasEnded ? `${signal ?? `status ${status}`}` : undefined, printed);
    }
    await closed;
  }

  /** Whether processes are ended on purpose. */
  get #isEnding(): boolean {
    return this.#bailed !== undefined || this.#options.interruption.name !== undefined;
  }

  /** Throws where a process read other profiles than this one, such as a file that was changed meanwhile. */
  #checkPlan(head: BlobHead | undefined): void {
    if (JSON.stringify(head?.plan) === JSON.stringify(this.#options.head.plan)) return;
    throw new CodedError('ERR_RUN_PROCESS', 'it read other profiles: a file was changed meanwhile');
  }

  #arrive({ run, report, error }: BlobEntry): void {
    const planned = this.#options.whole[run]!;
    // What is wrong with a plugin of the plan was told of before all runs.
    const told = planned.error === undefined && error !== null ? toldError(error) : undefined;
    const ended = { planned, report, error: told };
    const at = this.#told.get(planned);
    if (at === undefined) this.#arrived.set(planned, ended);
    else this.#amend(at, ended);
    while (!this.#isEnding && this.#next < this.#plan.length && this.#tell(this.#plan[this.#next]!)) this.#next++;
    this.#showProgress();
    if (this.#bailed !== undefined) this.#end();
  }

  /** Tells of a run that has ended. Returns false for one that has not, or was told of. */
  #tell(planned: PlannedRun): boolean {
    const run = this.#arrived.get(planned);
    if (run === undefined) return false;
    this.#arrived.delete(planned);
    this.#note(run);
    this.#told.set(planned, this.#ended.push(run) - 1);
    this.#reporter.ended(run);
    if (!this.#isEnding && !isAsExpected(run.report)) this.#bailed = earlyEndOf(this.#ended, this.#options);
    return true;
  }

  /** Tells of another report of a run. */
  #amend(at: number, run: EndedRun<PlannedRun>): void {
    this.#ended[at] = run;
    this.#note(run);
    this.#reporter.amended(run);
  }

  #note({ planned, report, error }: EndedRun<PlannedRun>): void {
    const status = error === undefined ? statusOfReport(report) : this.#options.printError(error);
    if (planned.error === undefined) this.#status = worstStatus(this.#status, status);
  }

  /** A process ended before its runs did (`how`), makes other runs, or wrote what cannot be read. */
  #lose(cause: CodedError, how: string | undefined, printed: string): void {
    const said = printed.trim().split('\n').at(-1)?.slice(0, MOST_SHOWN) ?? '';
    const why = how === undefined ? cause.message : `it ended with ${how}`;
    const error = new CodedError('ERR_RUN_PROCESS', `a process of --jobs was lost: ${why}${said && `: ${said}`}`, {
      hint: nextStep(cause, how !== undefined),
    });
    this.#options.printError(error);
    this.#status = worstStatus(this.#status, ExitStatus.Differed);
    this.#lost ??= { reason: 'a process of --jobs was lost', isInterrupted: false };
  }

  #end(): void {
    for (const child of this.#processes)
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
  }

  #showProgress(): void {
    const done = this.#ended.length + this.#arrived.size;
    this.#options.progress.begin(`run ${done} of ${this.#plan.length}, in ${this.#count} processes`);
  }
}

function nextStep({ code }: CodedError, hasEnded: boolean): string {
  if (hasEnded)
    return 'make the runs without --jobs: then the run that ends the process is the one that is told of last';
  return code === 'ERR_RUN_PROCESS'
    ? 'make the runs again, and change no profile meanwhile'
    : 'make the runs without --jobs, and tell the authors of this what it says';
}
