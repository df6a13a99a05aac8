import type { CodedError } from '@virtio-platform/core';
import { blamePlugin, strayOwner, type NamedRun, type ResolutionOptions } from '@virtio-platform/profile';
import { failedReport, isAsExpected, startProfile, type RunReport } from '@virtio-platform/runner';
import { ExitStatus, exitStatusOf, worstStatus } from '../exit-status.ts';
import type { Interruption } from '../interruption.ts';
import { isolate } from '../isolate.ts';
import type { EarlyEnd, EndedRun, Reporter, RunSummary } from '../reporters/reporter.ts';
import type { Progress } from './progress.ts';
import type { PlannedRun } from './run-plan.ts';
import type { RunRecording } from './run-recording.ts';

/** How the runs are made. */
export interface SequenceOptions {
  readonly plugins: ResolutionOptions;
  readonly sanitize: boolean;
  /** The number of runs that are not as expected after which no run is made any more. */
  readonly bail: number | undefined;
  readonly interruption: Interruption;
  readonly progress: Progress;
  readonly recording: RunRecording;
  /** Tells people, or a program, of an error, and returns its exit status. */
  readonly printError: (error: CodedError) => ExitStatus;
}

/**
 * The runs of one command, one after the other. Whatever a plugin or a device does in one run, the others run, and each
 * has its report.
 */
export class RunSequence {
  readonly #options: SequenceOptions;
  readonly #reporter: Required<Reporter>;
  readonly #ended: EndedRun<PlannedRun>[] = [];
  /** Rejects once an interrupted run has had its time. */
  readonly #givenUp: Promise<never>;
  #status: ExitStatus = ExitStatus.AsExpected;

  constructor(reporter: Required<Reporter>, options: SequenceOptions) {
    this.#reporter = reporter;
    this.#options = options;
    this.#givenUp = givenUp(options.interruption);
    this.#givenUp.catch(() => {});
  }

  /** Of the runs that were made. */
  get status(): ExitStatus {
    return this.#status;
  }

  /** Makes the runs, until one of them is the last that is wanted. */
  async make(plan: readonly PlannedRun[]): Promise<Pick<RunSummary, 'ended' | 'notRun' | 'earlyEnd'>> {
    this.#reporter.begin(plan);
    let earlyEnd = this.#earlyEnd();
    for (const [at, planned] of plan.entries()) {
      if (earlyEnd !== undefined) break;
      this.#options.progress.begin(`run ${at + 1} of ${plan.length}, ${planned.run.name}`);
      const run = await this.#make(planned);
      if (run !== undefined) {
        this.#ended.push(run);
        this.#options.recording.ended(run);
        this.#reporter.ended(run);
      }
      earlyEnd = this.#earlyEnd();
    }
    const notRun = plan.slice(this.#ended.length);
    return { ended: this.#ended, notRun, earlyEnd: notRun.length === 0 ? undefined : earlyEnd };
  }

  #earlyEnd(): EarlyEnd | undefined {
    return earlyEndOf(this.#ended, this.#options);
  }

  /** Returns `undefined` for a run that was interrupted. */
  async #make(planned: PlannedRun): Promise<EndedRun<PlannedRun> | undefined> {
    const { run, profile, error: wrong } = planned;
    if (profile === undefined || wrong !== undefined) return wrong && { planned, report: failedReport(run, wrong) };
    const { plugins, sanitize, progress, interruption, recording, printError } = this.#options;
    const { signal } = interruption;
    const recorder = recording.recorder();
    const onProgress = (done: number, total: number): void => progress.advance(done, total);
    const started = async (): Promise<RunReport> => {
      const going = startProfile(profile, { onProgress, sanitize, plugins, signal, recorder });
      recording.watch(going);
      return await going.report;
    };
    const body = async (): Promise<RunReport> => await Promise.race([started(), this.#givenUp]);
    const { value, error } = await isolate(
      body,
      (thrown) => blamePlugin(thrown, profile, plugins),
      (thrown) => this.#isOther(thrown, profile),
    );
    if (value === undefined && interruption.name !== undefined) return undefined;
    const report = value !== undefined && error === undefined ? value : failedReport(profile, error!, value);
    this.#note(error === undefined ? statusOfReport(report) : printError(error));
    return { planned, report, error };
  }

  /** What a plugin of an earlier run left behind throws: that is of the earlier run. */
  #isOther(thrown: unknown, running: NamedRun): boolean {
    const runs = [...this.#ended.map(({ planned }) => planned.run), running];
    const owner = strayOwner(thrown, runs, this.#options.plugins);
    const earlier = owner && this.#ended[owner.at];
    if (owner === undefined || earlier === undefined) return false;
    const { planned, report } = earlier;
    const amended = { planned, report: failedReport(planned.run, owner.error, report), error: owner.error };
    this.#ended[owner.at] = amended;
    this.#reporter.amended(amended);
    this.#options.recording.amended(amended);
    this.#note(this.#options.printError(owner.error));
    return true;
  }

  #note(status: ExitStatus): void {
    this.#status = worstStatus(this.#status, status);
  }
}

/** Rejects some time after the signal was aborted. */
async function givenUp({ signal, giveUpMs }: Interruption): Promise<never> {
  return await new Promise((_, reject) => {
    const giveUp = (): void => reject(signal.reason);
    const wait = (): void => void setTimeout(giveUp, giveUpMs).unref();
    if (signal.aborted) wait();
    else signal.addEventListener('abort', wait, { once: true });
  });
}

/** What a command exits with after one run that nothing else went wrong in. */
export function statusOfReport(report: RunReport): ExitStatus {
  const { failure } = report;
  // A plugin that did something wrong is no result of the run: as one that cannot be loaded.
  if (failure !== null && exitStatusOf(failure) === ExitStatus.Usage) return ExitStatus.Usage;
  return isAsExpected(report) ? ExitStatus.AsExpected : ExitStatus.Differed;
}

/** Why no run is made any more after those that ended; `undefined` where runs go on. */
export function earlyEndOf(
  ended: readonly EndedRun[],
  { interruption, bail }: Pick<SequenceOptions, 'interruption' | 'bail'>,
): EarlyEnd | undefined {
  if (interruption.name !== undefined) return { reason: `interrupted by ${interruption.name}`, isInterrupted: true };
  const failed = ended.filter(({ report }) => !isAsExpected(report)).length;
  if (bail === undefined || failed < bail) return undefined;
  const runs = failed === 1 ? 'the first run that is not as expected' : `${failed} runs that are not as expected`;
  return { reason: `stopped after ${runs} (--bail)`, isInterrupted: false };
}
