import { setImmediate } from 'node:timers/promises';
import {
  ContractError,
  describeValue,
  DeviceError,
  type DriverHalf,
  type WorkLoop,
  type Workload,
} from '@virtio-platform/core';
import { checkDevice, type Transport } from '@virtio-platform/core/device';
import type { Virtqueue } from '@virtio-platform/core/queue';
import type { Profile } from '@virtio-platform/profile';
import { Disruptions } from './disruptions.ts';
import type { RunReport, WorkloadReport } from './report.ts';
import { MOST_MISSED, throwMissed, type UsedNotifications } from './used-notifications.ts';
/** How long a workload runs before it lets timers and signals through. */
const SLICE_MS = 50;
/**
 * How often in a row a buffer may not be mappable while nothing is in flight that could change it: failures on purpose
 * are no state.
 */
const MAX_FAILURES = 64;
/** Changes of the configuration that the report describes. */
const MOST_CHANGES = 16;

/** What a loop drives. */
export interface RunLoopParts {
  readonly profile: Profile;
  readonly transport: Transport;
  readonly queues: readonly Virtqueue[];
  readonly notifications: UsedNotifications;
  readonly driver: DriverHalf;
  /** Called a few times a second while requests complete. */
  readonly onProgress: (done: number, total: number) => void;
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
  #lastProgress: number;
  #sliceEnd: number;

  constructor(parts: RunLoopParts) {
    this.#parts = parts;
    this.#disruptions = new Disruptions(parts.profile, parts.transport, parts.queues);
    this.#sliceEnd = this.#lastProgress = performance.now();
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

  disrupt(completed: number): void {
    while (this.#disruptions.isDue(completed)) {
      this.#parts.notifications.suppress();
      this.#disruptions.doNext((queue, ids) => this.#workload?.recover?.(queue, ids));
    }
  }

  /**
   * Ends one round of a workload, in which `progress` things happened and after which `completed` requests are done:
   * waits when it was nothing. Throws {@link DeviceError} when the device stalls, lies or is gone.
   */
  async turn(progress: number, completed: number): Promise<void> {
    const { notifications, queues, transport } = this.#parts;
    let isIdle = false;
    if (progress > 0) {
      this.#waitingSince = -1;
      this.#failuresInRow = 0;
      notifications.tookUsed(completed);
      this.#throwIfMissing();
    } else {
      for (const queue of queues) throwIfBroken(queue);
      if (!this.#isRetrying && notifications.enable()) isIdle = this.#wait(completed);
    }
    this.#isRetrying = false;
    if (transport.takeConfigChange?.() === true) this.#changeConfig();
    if (isIdle || performance.now() > this.#sliceEnd) await this.#breathe(completed);
  }

  /**
   * A buffer could not be added, and nothing that is in flight can change that: tried again at once, a few times.
   * `reason` is what `add` returned. Throws {@link DeviceError} when it stays so.
   */
  failedToAdd(reason: number): void {
    for (const queue of this.#parts.queues) throwIfBroken(queue);
    this.#isRetrying = true;
    if (++this.#failuresInRow < MAX_FAILURES) return;
    throw new DeviceError('ERR_DMA_EXHAUSTED', `not even one request can be mapped (reason ${reason})`, {
      hint: 'give the platform a larger window or pool, or ask for smaller blocks',
    });
  }

  /** Tells the driver half of a changed configuration. */
  #changeConfig(): void {
    this.#changeCount++;
    const change = this.#parts.driver.configChanged?.();
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
      if (!queues.some((queue) => queue.inspect().hasUsed)) return false;
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
    if (now - this.#lastProgress > 100) {
      this.#lastProgress = now;
      const { onProgress, profile } = this.#parts;
      onProgress(completed, profile.workload.requests);
    }
    await setImmediate();
    this.#sliceEnd = performance.now() + SLICE_MS;
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
