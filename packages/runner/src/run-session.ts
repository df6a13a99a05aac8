import {
  ContractError,
  DeviceError,
  type AddressRange,
  type DriverHalf,
  type Mismatch,
  type Workload,
} from '@virtio-platform/core';
import { FaultLog, type DeviceFault } from '@virtio-platform/core/address-space';
import type { DmaStatistics } from '@virtio-platform/core/dma';
import type { NegotiationResult } from '@virtio-platform/core/negotiation';
import type { AddedBuffer, DmaFinding } from '@virtio-platform/dma-sanitizer';
import { runHook, type ComposedRun } from '@virtio-platform/profile';
import { DeviceSession, type SessionWatch } from '@virtio-platform/session';
import { FlightRecorder } from '@virtio-platform/trace';
import { checkDisruptions } from './disruptions.ts';
import { interruptRanges } from './report/device-ranges.ts';
import type { RecordedRun } from './recorded-run.ts';
import type { FindingReport, RunReport, WorkloadReport } from './report/report.ts';
import { collectEvidence, type FailureEvidence } from './failure/failure-evidence.ts';
import { bufferAtWork } from './failure/diagnose-fault.ts';
import { ExplainedTrouble } from './failure/explained-trouble.ts';
import type { FailureExplanation } from './failure/failure-explanation.ts';
import {
  explainChangedDescriptor,
  hasChangedDescriptor,
  explainError,
  explainMismatch,
  explainMissedNotification,
} from './failure/explain-failure.ts';
import { checkFaults } from './report/check-faults.ts';
import { reportFaults } from './report/describe-run.ts';
import { inspectRings, type RingReport } from './report/ring-report.ts';
import { RunLoop, workloadReport } from './run-loop.ts';
import { throwMissed, UsedNotifications } from './used-notifications.ts';

/** What went wrong first is explained; what follows is often its consequence. */
const MOST_EXPLANATIONS = 4;
/** Events in which the buffer is that the device works on. */
const RECENT_EVENTS = 64;

/** The workload of a profile over a {@link DeviceSession}, with what the profile has done to the device meanwhile. */
export class RunSession {
  readonly #run: ComposedRun;
  readonly #session: DeviceSession;
  readonly #mismatched: ((mismatch: Mismatch) => void) | undefined;
  #workload: Workload | undefined;
  #loop: RunLoop | undefined;
  #notifications: UsedNotifications | undefined;
  #driver: DriverHalf | undefined;
  readonly #recorder: FlightRecorder;
  readonly #explanations: FailureExplanation[] = [];
  readonly #trouble: ExplainedTrouble;
  readonly #interrupts: readonly AddressRange[];

  /**
   * Negotiates. After a refusal there is nothing to start. `watch` looks at the driver; `recording` has the events of
   * both ends, and is told of the first mismatch of each kind.
   */
  constructor(run: ComposedRun, watch?: SessionWatch, recording?: Pick<RecordedRun, 'recorder' | 'mismatched'>) {
    this.#recorder = recording?.recorder ?? new FlightRecorder();
    this.#mismatched = recording?.mismatched;
    const { platform, machine, profile } = run;
    const { device, driver, policy, queue, failures, workload } = profile;
    this.#run = run;
    this.#interrupts = interruptRanges(run);
    this.#trouble = new ExplainedTrouble(profile.expect, (make) => {
      this.#explain((evidence) => make(evidence, this.#describe));
    });
    // A machine from another project may have a list that is no log: `explainTrouble` checks it.
    const { faults } = machine;
    if (faults instanceof FaultLog) faults.watch((fault) => this.#trouble.faulted(fault));
    this.#session = new DeviceSession({
      machine,
      platform,
      device,
      driver,
      policy,
      queue,
      failures,
      resizes: workload.disruptions.flatMap(({ size }) => size ?? []),
      watch,
    });
  }

  get negotiation(): NegotiationResult {
    return this.#session.negotiation;
  }

  /** Layout and size of the first queue, once started. */
  get ring(): RunReport['queue'] {
    return this.#session.ring;
  }

  /** How often something failed because the profile asks for it. */
  get injected(): number {
    return this.#session.injected;
  }

  /** Of the pool that buffers are copied through; `null` without one. */
  get pool(): RunReport['dma']['pool'] {
    const { bouncePool } = this.#run.platform;
    return bouncePool === undefined
      ? null
      : { slots: bouncePool.slots, highWater: bouncePool.highWater, exhausted: bouncePool.exhausted };
  }

  /** Of all queues together. */
  get dma(): Required<DmaStatistics> {
    return this.#session.dma;
  }

  /** The notifications of both directions so far; `null` before {@link start}. */
  get notifications(): RunReport['notifications'] {
    if (this.#notifications === undefined) return null;
    const { counts: used } = this.#notifications;
    return { available: this.#session.notifications, used, device: this.#run.machine.notifications ?? null };
  }

  /** Reads the rings as both ends left them. */
  inspect(): RingReport[] {
    return inspectRings(this.#session.queues.map(({ queue }) => queue));
  }

  /**
   * What went wrong so far, explained, in the order in which it happened, at most {@link MOST_EXPLANATIONS}. A missed
   * notification is behind what ended the workload: it often has the same cause, and shows less of it. A refused access
   * that another explanation names has none of its own.
   */
  get explanations(): readonly FailureExplanation[] {
    const all = this.#explanations.filter((each) => !this.#trouble.isNamedBy(each, this.#explanations));
    return [...all.filter(({ kind }) => kind !== 'notification'), ...all.filter(({ kind }) => kind === 'notification')];
  }

  /** Explains an error that ended the workload, by rings and events as they are now. */
  explain(error: unknown): void {
    this.#explain((evidence) => explainError(error, evidence, this.#describe), MOST_EXPLANATIONS);
  }

  /** What the driver asks for with a buffer; of a finding about none, what the device works on. */
  operationOf(finding: DmaFinding, buffer: AddedBuffer | undefined): string | undefined {
    const { request, queue } = finding;
    const isUnknown = request === undefined && queue === undefined;
    const at = buffer ?? (isUnknown ? bufferAtWork(this.#recorder.read(RECENT_EVENTS).events) : undefined);
    return at && this.#describe(at.queue, at.id);
  }

  /** Explains a finding of the DMA sanitizer that the profile does not expect, if it is the first one. */
  found(finding: FindingReport): void {
    this.#trouble.found(finding);
  }

  /**
   * Explains what the machine saw and told late, and what the IOMMU recorded, where neither is expected. Once the
   * workload has ended.
   */
  explainTrouble(recorded: readonly DeviceFault[]): void {
    const { machine } = this.#run;
    // A device in another thread tells of its faults when it is asked.
    machine.deviceError?.();
    this.#trouble.ended(checkFaults(machine.faults.entries), recorded);
  }

  /**
   * Throws {@link DeviceError} `ERR_DESCRIPTOR_CHANGED` where a descriptor is not what the driver wrote, at the end of
   * a workload.
   */
  checkDescriptors(): void {
    if (!this.#session.queues.some(({ queue }) => hasChangedDescriptor(queue))) return;
    const explanation = explainChangedDescriptor(this.#collectEvidence());
    if (explanation === undefined) return;
    this.#explain(() => explanation);
    const { what, where, next } = explanation;
    throw new DeviceError('ERR_DESCRIPTOR_CHANGED', `${what} (${where})`, { hint: next ?? '' });
  }

  /** Throws {@link DeviceError} `ERR_NOTIFICATION_MISSED` where the device did not send one that it owed. */
  checkNotifications(): void {
    if (this.#notifications !== undefined) throwMissed(this.#notifications);
  }

  /** What the workload did so far; `undefined` before it was started. */
  get workload(): WorkloadReport | undefined {
    if (this.#workload === undefined || this.#loop === undefined) return undefined;
    return workloadReport(this.#run.profile, this.#workload, this.#loop);
  }

  /** The configuration changes that the device told of. */
  get configuration(): RunReport['configuration'] {
    return this.#loop?.configuration ?? { changes: 0, seen: [] };
  }

  /**
   * Sets up the queues, the driver half and the workload, and lets the device go. Throws a coded error; `end` is still
   * to be called. `onProgress` is called a few times a second while the workload runs. Throws the reason of `signal`
   * once that is aborted.
   */
  async start(onProgress: (done: number) => void = () => {}, signal?: AbortSignal): Promise<void> {
    const session = this.#session;
    try {
      signal?.throwIfAborted();
      checkDisruptions(this.#run.profile, session.negotiation.accepted);
      this.#openWorkload(onProgress);
    } catch (error) {
      session.fail(error);
      throw error;
    }
    await session.start(signal);
  }

  /**
   * Runs the workload on a started device. Throws {@link DeviceError} when the device stalls, lies or is gone, and
   * {@link ContractError} for a workload that does not do what it was asked for. Once `signal` is aborted, the workload
   * ends with its reason, or is left alone.
   */
  async run(signal?: AbortSignal): Promise<void> {
    const { device, driver, workload: asked } = this.#run.profile;
    const hook = `workloads.${asked.kind}.run`;
    const [workload, loop] = [this.#workload!, this.#loop!];
    let failed: { readonly thrown: unknown } | undefined;
    const settled = async (): Promise<void> => {
      try {
        await Promise.race([workload.run(), loop.abandoned]);
      } catch (thrown) {
        failed = { thrown };
      }
    };
    const stop = (): void => loop.stop(signal!.reason);
    if (signal?.aborted === true) stop();
    signal?.addEventListener('abort', stop, { once: true });
    try {
      await runHook('device', device.use, hook, settled, driver.timeoutMs, () => loop.quietMs);
    } finally {
      signal?.removeEventListener('abort', stop);
    }
    // What the loop met is why the workload ended, whatever the workload made of it.
    failed = loop.failure ?? failed;
    if (failed !== undefined) throw failed.thrown;
    const { requests, mismatches } = workload.done;
    if (requests >= asked.requests || mismatches.first.length > 0) return;
    throw new ContractError('device', hook, `returned after ${requests} of ${asked.requests} requests`);
  }

  /** Opens the queues, the driver half over them, and the workload over the driver half. */
  #openWorkload(onProgress: (done: number) => void): void {
    const session = this.#session;
    const { profile, machine } = this.#run;
    const { type, settings } = profile.device;
    const { kind, depth, requests, seed, disruptions, options } = profile.workload;
    const queues = session.openQueues().map(({ queue }) => queue);
    const { transport } = session;
    const notifications = new UsedNotifications(transport, queues, (missed) =>
      this.#explain((evidence) => explainMissedNotification(missed, evidence, this.#describe)),
    );
    this.#notifications = notifications;
    const workload = type.workloads[kind]!;
    const { driver, context } = session.openDriver({ depth, bytes: workload.bytes(options) });
    this.#driver = driver;
    const onMismatch = (mismatch: Mismatch): void => {
      this.#explain((evidence) => explainMismatch(mismatch, evidence));
      this.#mismatched?.(mismatch);
    };
    const loop = new RunLoop({
      profile,
      platform: this.#run.platform,
      transport,
      queues,
      notifications,
      driver,
      onProgress,
      onMismatch,
    });
    this.#loop = loop;
    const mostReturned = disruptions.length * depth;
    const own = { settings, options, kind, requests, seed, mostReturned, loop, inspected: machine.memory };
    this.#workload = workload.open(driver, { ...context, ...own });
    loop.attach(this.#workload);
  }

  /** What a buffer asks for; a driver half that throws says nothing. */
  readonly #describe = (queue: number, id: number): string | undefined => {
    try {
      const said: unknown = this.#driver?.describeBuffer?.(queue, id);
      return typeof said === 'string' ? said : undefined;
    } catch {
      return undefined;
    }
  };

  #collectEvidence(): FailureEvidence {
    // A device can be refused an access while the session negotiates, which is before it is there.
    const session: DeviceSession | undefined = this.#session;
    const queues = session?.queues.map(({ queue }) => queue) ?? [];
    const faults = reportFaults(checkFaults(this.#run.machine.faults.entries));
    return collectEvidence(queues, this.#recorder, { faults, interrupts: this.#interrupts });
  }

  /** The last place is for what ends the workload. */
  #explain(make: (evidence: FailureEvidence) => FailureExplanation | undefined, most = MOST_EXPLANATIONS - 1): void {
    if (this.#explanations.length >= most) return;
    const explanation = make(this.#collectEvidence());
    if (explanation !== undefined) this.#explanations.push(explanation);
  }

  /** Resets the device and gives everything back; see `end` of {@link DeviceSession}. */
  end(): void {
    this.#session.end();
  }

  /** After {@link end}, and after its statistics were read. Nothing is given back that the device may still use. */
  dispose(): void {
    this.#session.dispose();
  }
}
