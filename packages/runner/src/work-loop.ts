import { setImmediate } from 'node:timers/promises';
import { checkDevice, DeviceError, type Virtqueue } from '@virtio-platform/core';
import type { DriverContext } from './driver-half.ts';

/** How long a workload runs before it lets timers and signals through. */
const SLICE_MS = 50;

/**
 * What every workload does around its requests: wait for the device without missing a notification, give up when it does nothing
 * for too long, and let the rest of the program live.
 */
export class WorkLoop {
  readonly #context: DriverContext;
  readonly #queues: readonly Virtqueue[];
  #waitingSince = -1;
  #lastProgress: number;
  #sliceEnd: number;

  constructor(context: DriverContext) {
    this.#context = context;
    this.#queues = context.queues.map(({ queue }) => queue);
    this.#sliceEnd = this.#lastProgress = performance.now();
  }

  /**
   * Ends one round of a workload, in which `progress` things happened and after which `completed` requests are done: waits when it
   * was nothing. Throws {@link DeviceError} when the device stalls, lies or is gone.
   */
  async turn(progress: number, completed: number): Promise<void> {
    if (progress > 0) this.#waitingSince = -1;
    else {
      for (const queue of this.#queues) throwIfBroken(queue);
      if (this.#enableNotifications()) this.#wait();
    }
    if (performance.now() > this.#sliceEnd) await this.#breathe(completed);
  }

  /** Throws because a buffer could not be added, and nothing that is in flight can change that. `reason` is what `add` returned. */
  failedToAdd(reason: number): never {
    for (const queue of this.#queues) throwIfBroken(queue);
    throw new DeviceError('ERR_DMA_EXHAUSTED', `not even one request can be mapped (reason ${reason})`, {
      hint: 'give the platform a larger window or pool, or ask for smaller blocks',
    });
  }

  /** Returns false when something already arrived. */
  #enableNotifications(): boolean {
    let isQuiet = true;
    for (const queue of this.#queues) if (!queue.enableNotifications()) isQuiet = false;
    return isQuiet;
  }

  /** Waits for the device, and finds out what is wrong when nothing comes. */
  #wait(): void {
    const { transport, profile } = this.#context;
    const { timeoutMs } = profile.driver;
    const now = performance.now();
    if (this.#waitingSince < 0) this.#waitingSince = now;
    const left = timeoutMs - (now - this.#waitingSince);
    const result = transport.wait(Math.max(0, Math.min(left, SLICE_MS)));
    if (result === 'lost') {
      // The transport knows more: the last command, and what the back-end printed.
      transport.readStatus();
      throw new DeviceError('ERR_DEVICE_LOST', `the device is gone with ${this.#outstanding()} requests in flight`, {
        hint: 'see whether the back-end still runs and what it printed last',
      });
    }
    // A device may notify as often as it likes: only what completes counts.
    if (result === 'notified' && left > 0) return;
    checkDevice(transport);
    if (left > 0) return;
    throw new DeviceError(
      'ERR_DEVICE_STALLED',
      `no request completed in ${timeoutMs} ms, ${this.#outstanding()} are in flight`,
    );
  }

  #outstanding(): number {
    return this.#queues.reduce((sum, { outstanding }) => sum + outstanding, 0);
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
