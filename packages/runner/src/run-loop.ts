import { setTimeout } from 'node:timers';
import { setImmediate } from 'node:timers/promises';
import {
  ContractError,
  describeValue,
  DeviceError,
  type DriverHalf,
  type Mismatch,
  type Platform,
  type WorkLoop,
  type Workload,
} from '@virtio-platform/core';
import { checkDevice, type Transport } from '@virtio-platform/core/device';
import { mappingRefusal } from '@virtio-platform/core/dma';
import type { Virtqueue } from '@virtio-platform/core/queue';
import type { Profile } from '@virtio-platform/profile';
import { Disruptions } from './disruptions.ts';
import type { RunReport, WorkloadReport } from './report/report.ts';
import { MOST_MISSED, throwMissed, type UsedNotifications } from './used-notifications.ts';
/** How long a workload runs before it lets timers and signals through. */
const SLICE_MS = 50;
/**
 * How often in a row a buffer may not be mappable while nothing is in flight that could change it: failures on purpose
 * are no state.
 */
const MAX_FAILURES = 64;
/** Milliseconds for a workload that is to end to call its loop. */
const STOP_GRACE_MS = 500;
/** Changes of the configuration that the report describes. */
const MOST_CHANGES = 16;

/** What a loop drives. */
export interface RunLoopParts {
  readonly profile: Profile;
  readonly platform: Pick<Platform, 'exec'>;
  readonly transport: Transport;
  readonly queues: readonly Virtqueue[];
  readonly notifications: UsedNotifications;
  readonly driver: DriverHalf;
  /** Called a few times a second while requests complete. */
  readonly onProgress: (done: number) => void;
  /** Told of the first mismatch of each kind, at that moment. */
  readonly onMismatch?: (mismatch: Mismatch) => void;
}

/**
 * What a run does around the requests of its workload: waits for the device without missing a notification, gives up
 * when it does nothing for too long, disrupts it as the profile asks, and lets the rest of the program live.
 */
export class RunLoop implements WorkLoop {
  readonly #parts: RunLoopParts;
  readonly #disruptions: Disruptions;
  readonly #changes: string[] = [];
  #changeCount = 0;
  #workload: Workload | undefined;
  #waitingSince = -1;
  #failuresInRow = 0;
  #isRetrying = false;
  #failure: { readonly thrown: unknown } | undefined;
  /** Why the workload is to end. */
  #stop: { readonly thrown: unknown } | undefined;
  #abandon!: () => void;
  /** Since when the workload is at work between two rounds; -1 while a round ends here. */
  #quietSince: number;
  /** Requests that were complete when that number grew last, and when that was. */
  #completed = -1;
  #completedAt: number;
  #lastProgress: number;
  #sliceEnd: number;

  /** Rejects once the workload goes on although the loop failed: it is not listened to any more. */
  readonly abandoned: Promise<never>;

  constructor(parts: RunLoopParts) {
    this.#parts = parts;
    this.abandoned = new Promise((_, reject) => {
      this.#abandon = (): void => reject(new Error('the workload goes on although its loop failed'));
    });
    this.abandoned.catch(() => {});
    this.#disruptions = new Disruptions(parts.profile, parts.platform, parts.transport, parts.queues);
    this.#sliceEnd = this.#lastProgress = this.#quietSince = this.#completedAt = performance.now();
  }

  /** How often the device was suspended or its queues reset. */
  get disruptions(): number {
    return this.#disruptions.count;
  }

  /** The changes of the configuration that the device told of. */
  get configuration(): RunReport['configuration'] {
    return { changes: this.#changeCount, seen: this.#changes };
  }

  /** Gives buffers that queue resets return to the workload that the loop is for. */
  attach(workload: Workload): void {
    this.#workload = workload;
  }

  /** What was thrown here first: it ends the workload. */
  get failure(): { readonly thrown: unknown } | undefined {
    return this.#failure;
  }

  /** Milliseconds for which the workload has ended no round. */
  get quietMs(): number {
    return this.#quietSince < 0 ? 0 : performance.now() - this.#quietSince;
  }

  /**
   * Ends the workload: its next call of the loop throws `reason`. A workload that makes no call in
   * {@link STOP_GRACE_MS} is left alone.
   */
  stop(reason: unknown): void {
    this.#stop ??= { thrown: reason };
    setTimeout(() => {
      this.#failure ??= this.#stop;
      this.#abandon();
    }, STOP_GRACE_MS).unref();
  }

  mismatched(mismatch: Mismatch): void {
    this.#parts.onMismatch?.(mismatch);
  }

  disrupt(completed: number): void {
    try {
      while (this.#disruptions.isDue(completed)) {
        this.#parts.notifications.suppress();
        this.#disruptions.doNext((queue, ids) => this.#workload?.recover?.(queue, ids));
      }
    } catch (thrown) {
      this.#failure ??= { thrown };
      throw thrown;
    }
  }

  /**
   * Ends one round of a workload, in which `progress` things happened and after which `completed` requests are done:
   * waits when it was nothing. Throws {@link DeviceError} when the device stalls, lies or is gone.
   */
  async turn(progress: number, completed: number): Promise<void> {
    if (this.#failure !== undefined) return await this.#abandonWorkload();
    this.#quietSince = -1;
    try {
      this.#throwIfStopped();
      this.#checkCounts(progress, completed);
      const isIdle = this.#endRound(progress, completed);
      if (isIdle || performance.now() > this.#sliceEnd) await this.#breathe(completed);
    } catch (thrown) {
      this.#failure ??= { thrown };
      throw thrown;
    } finally {
      this.#quietSince = this.#sliceEnd - SLICE_MS;
    }
  }

  /** Returns whether nothing happened, and only timers and sockets of this thread can change that. */
  #endRound(progress: number, completed: number): boolean {
    const { notifications, queues, transport } = this.#parts;
    let isIdle = false;
    if (progress > 0) {
      this.#waitingSince = -1;
      this.#failuresInRow = 0;
      notifications.progressed(completed);
      this.#throwIfMissing();
    } else {
      for (const queue of queues) throwIfBroken(queue);
      if (!this.#isRetrying && notifications.enable()) isIdle = this.#wait(completed);
    }
    this.#isRetrying = false;
    if (transport.takeConfigChange?.() === true) this.#changeConfig();
    return isIdle;
  }

  /** A workload that goes on although the loop failed waits for ever, so that it does nothing more. */
  async #abandonWorkload(): Promise<never> {
    this.#abandon();
    return await new Promise(() => {});
  }

  /** Throws {@link ContractError} for numbers that no workload can have. */
  #checkCounts(progress: number, completed: number): void {
    const { requests, kind } = this.#parts.profile.workload;
    const isRight = progress >= 0 && completed >= 0 && completed <= requests;
    if (isRight && Number.isSafeInteger(progress) && Number.isSafeInteger(completed)) return;
    const numbers = `progress ${describeValue(progress)} and ${describeValue(completed)} of ${requests} requests`;
    throw new ContractError('device', `workloads.${kind}.run`, `ended a round with ${numbers}`);
  }

  /**
   * A buffer could not be added, and nothing that is in flight can change that: tried again at once, a few times.
   * `reason` is what `add` returned. Throws {@link DeviceError} when it stays so.
   */
  failedToAdd(reason: number): void {
    try {
      this.#failToAdd(reason);
    } catch (thrown) {
      this.#failure ??= { thrown };
      throw thrown;
    }
  }

  #failToAdd(reason: number): void {
    for (const queue of this.#parts.queues) throwIfBroken(queue);
    this.#isRetrying = true;
    if (++this.#failuresInRow < MAX_FAILURES) return;
    throw mappingRefusal('not even one request can be mapped', reason);
  }

  /** Tells the driver half of a changed configuration. */
  #changeConfig(): void {
    this.#changeCount++;
    const change = this.#parts.driver.configChanged?.();
    if (change !== undefined && typeof change !== 'string')
      throw new ContractError('device', 'configChanged', `returned ${describeValue(change)}, not a text`);
    if (change !== undefined && this.#changes.length < MOST_CHANGES) this.#changes.push(change);
  }

  /**
   * Waits for the device, and finds out what is wrong when nothing comes. Returns whether the wait ended at once with
   * nothing: then only timers and sockets of this thread can change that.
   */
  #wait(completed: number): boolean {
    const { transport, profile, notifications, queues } = this.#parts;
    const { timeoutMs } = profile.driver;
    const now = performance.now();
    if (this.#waitingSince < 0) this.#waitingSince = now;
    const left = timeoutMs - (now - this.#waitingSince);
    const result = transport.wait(Math.max(0, Math.min(left, SLICE_MS)));
    if (result === 'lost') {
      // The transport knows more: the last command, and what the back-end printed.
      transport.readStatus();
      throw new DeviceError('ERR_DEVICE_LOST', `the device is gone and had ${this.#describeOutstanding()}`, {
        hint: 'see whether the back-end still runs and what it printed last',
      });
    }
    if (result === 'notified' && transport.takeConfigChange?.() === true) {
      this.#changeConfig();
      // The notification may be of the configuration alone.
      if (left > 0 && !queues.some((queue) => queue.inspect().hasUsed)) return false;
    }
    if (result === 'notified') notifications.notified();
    else if (result === 'timeout') notifications.timedOut(completed);
    else throw new ContractError('machine', 'wait', `returned ${describeValue(result)}, not notified, timeout or lost`);
    this.#throwIfMissing();
    // A device may notify as often as it likes: only what completes counts.
    if (result === 'notified' && left > 0) return false;
    checkDevice(transport);
    if (left > 0) return performance.now() - now < SLICE_MS / 2;
    throw new DeviceError(
      'ERR_DEVICE_STALLED',
      `no request completed in ${timeoutMs} ms: the device has ${this.#describeOutstanding()}`,
      { hint: 'look whether the device still runs, and whether it waits for a notification or an address' },
    );
  }

  /** Throws once so many notifications are missing that the run has shown enough. */
  #throwIfMissing(): void {
    const { notifications } = this.#parts;
    if (notifications.counts.missed >= MOST_MISSED) throwMissed(notifications);
  }

  #describeOutstanding(): string {
    const counts = this.#parts.queues
      .filter(({ outstanding }) => outstanding > 0)
      .map(({ index, outstanding }) => `${outstanding} ${outstanding === 1 ? 'buffer' : 'buffers'} of queue ${index}`);
    return counts.length === 0 ? 'no buffer' : counts.join(', ');
  }

  async #breathe(completed: number): Promise<void> {
    const now = performance.now();
    if (completed !== this.#completed) [this.#completed, this.#completedAt] = [completed, now];
    else this.#throwIfStuck(now);
    if (now - this.#lastProgress > 100) {
      this.#lastProgress = now;
      this.#parts.onProgress(completed);
    }
    await setImmediate();
    this.#throwIfStopped();
    this.#sliceEnd = performance.now() + SLICE_MS;
  }

  #throwIfStopped(): void {
    if (this.#stop !== undefined) throw this.#stop.thrown;
  }

  /** A workload may say in each round that something happened, and complete nothing. */
  #throwIfStuck(now: number): void {
    const { timeoutMs } = this.#parts.profile.driver;
    // What waits is looked at where it waits.
    if (this.#waitingSince >= 0 || now - this.#completedAt <= timeoutMs) return;
    throw new DeviceError('ERR_DEVICE_STALLED', `no request completed in ${timeoutMs} ms, although buffers came back`, {
      hint: 'look whether the workload of the device type counts what it completes',
    });
  }
}

function throwIfBroken({ broken }: Virtqueue): void {
  if (broken !== undefined) throw new DeviceError('ERR_QUEUE_BROKEN', `${broken.code}: ${broken.detail}`);
}

/** The report of a workload: verified where every request of the profile is complete and none came back wrong. */
export function workloadReport({ workload: asked }: Profile, { done }: Workload, loop: RunLoop): WorkloadReport {
  const { requests, bytes, repeated, mismatches } = done;
  const errors = Object.values(mismatches.counts).reduce((sum, count) => sum + count, 0);
  return {
    requests,
    bytes,
    errors,
    mismatches,
    verified: requests === asked.requests && errors === 0,
    interruptions: loop.disruptions,
    repeated,
  };
}
