import { setImmediate } from 'node:timers/promises';
import { ContractError, describeValue, DeviceError } from '@virtio-platform/core';
import { checkDevice } from '@virtio-platform/core/device';
import type { Virtqueue } from '@virtio-platform/core/queue';
import type { DriverContext } from '../driver-half.ts';
import { MOST_MISSED, throwMissed, type UsedNotifications } from '../used-notifications.ts';

/** How long a workload runs before it lets timers and signals through. */
const SLICE_MS = 50;
/**
 * How often in a row a buffer may not be mappable while nothing is in flight that could change it: failures on purpose
 * are no state.
 */
const MAX_FAILURES = 64;

/**
 * What every workload does around its requests: wait for the device without missing a notification, give up when it
 * does nothing for too long, and let the rest of the program live.
 */
export class WorkLoop {
  readonly #context: DriverContext;
  readonly #queues: readonly Virtqueue[];
  readonly #notifications: UsedNotifications;
  #waitingSince = -1;
  #failuresInRow = 0;
  #isRetrying = false;
  #lastProgress: number;
  #sliceEnd: number;

  constructor(context: DriverContext) {
    this.#context = context;
    this.#queues = context.queues.map(({ queue }) => queue);
    this.#notifications = context.notifications;
    this.#sliceEnd = this.#lastProgress = performance.now();
  }

  /**
   * Ends one round of a workload, in which `progress` things happened and after which `completed` requests are done:
   * waits when it was nothing. Throws {@link DeviceError} when the device stalls, lies or is gone.
   */
  async turn(progress: number, completed: number): Promise<void> {
    if (progress > 0) {
      this.#waitingSince = -1;
      this.#failuresInRow = 0;
      this.#notifications.tookUsed(completed);
      this.#throwIfMissing();
    } else {
      for (const queue of this.#queues) throwIfBroken(queue);
      if (!this.#isRetrying && this.#notifications.enable()) this.#wait(completed);
    }
    this.#isRetrying = false;
    if (performance.now() > this.#sliceEnd) await this.#breathe(completed);
  }

  /**
   * A buffer could not be added, and nothing that is in flight can change that: tried again at once, a few times.
   * `reason` is what `add` returned. Throws {@link DeviceError} when it stays so.
   */
  failedToAdd(reason: number): void {
    for (const queue of this.#queues) throwIfBroken(queue);
    this.#isRetrying = true;
    if (++this.#failuresInRow < MAX_FAILURES) return;
    throw new DeviceError('ERR_DMA_EXHAUSTED', `not even one request can be mapped (reason ${reason})`, {
      hint: 'give the platform a larger window or pool, or ask for smaller blocks',
    });
  }

  /** Waits for the device, and finds out what is wrong when nothing comes. */
  #wait(completed: number): void {
    const { transport, profile } = this.#context;
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
    if (result === 'notified') this.#notifications.notified();
    else if (result === 'timeout') this.#notifications.timedOut(completed);
    else throw new ContractError('machine', 'wait', `returned ${describeValue(result)}, not notified, timeout or lost`);
    this.#throwIfMissing();
    // A device may notify as often as it likes: only what completes counts.
    if (result === 'notified' && left > 0) return;
    checkDevice(transport);
    if (left > 0) return;
    throw new DeviceError(
      'ERR_DEVICE_STALLED',
      `no request completed in ${timeoutMs} ms: the device has ${this.#describeOutstanding()}`,
      { hint: 'look whether the device still runs, and whether it waits for a notification or an address' },
    );
  }

  /** Throws once so many notifications are missing that the run has shown enough. */
  #throwIfMissing(): void {
    if (this.#notifications.counts.missed >= MOST_MISSED) throwMissed(this.#notifications);
  }

  #describeOutstanding(): string {
    const counts = this.#queues
      .filter(({ outstanding }) => outstanding > 0)
      .map(({ index, outstanding }) => `${outstanding} ${outstanding === 1 ? 'buffer' : 'buffers'} of queue ${index}`);
    return counts.length === 0 ? 'no buffer' : counts.join(', ');
  }

  async #breathe(completed: number): Promise<void> {
    const now = performance.now();
    if (now - this.#lastProgress > 100) {
      this.#lastProgress = now;
      this.#context.onProgress(completed, this.#context.profile.workload.requests);
    }
    await setImmediate();
    this.#sliceEnd = performance.now() + SLICE_MS;
  }
}

function throwIfBroken({ broken }: Virtqueue): void {
  if (broken !== undefined) throw new DeviceError('ERR_QUEUE_BROKEN', `${broken.code}: ${broken.detail}`);
}
