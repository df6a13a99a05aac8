import { setTimeout } from 'node:timers/promises';
import { DeviceError, type WorkDone, type WorkLoop, type Workload } from '@virtio-platform/core';
import { checkDevice, resetQueue } from '@virtio-platform/core/device';
import { mappingRefusal } from '@virtio-platform/core/dma';
import type { DriverHalf } from '@virtio-platform/core';
import type { Virtqueue } from '@virtio-platform/core/queue';
import type { TrialDevice } from './trial-device.ts';

/** How long nothing may happen: with timers and sockets, unless told, and without. */
const STALLED_MS = 2000;
const STALLED_TURNS = 50;
/** How often in a row a buffer may not be added while nothing is in flight. */
const MOST_FAILURES = 64;

/** Ends a run in the middle: what was asked for happened. */
export class TrialAborted extends Error {
  override readonly name = 'TrialAborted';
}

/** What a loop drives. */
export interface TrialLoopParts {
  readonly device: TrialDevice;
  readonly queues: readonly Virtqueue[];
  readonly driver: DriverHalf;
  /** Buffers that the device handles between resets of its queues; none unless given. */
  readonly resetsEach?: number | undefined;
  /** The place of the only queue that is reset; all unless given. */
  readonly resetsQueue?: number | undefined;
  /** Resets of queues. */
  readonly resets: number;
  /** Milliseconds that nothing may happen on a device half with timers and sockets; 2000 unless given. */
  readonly stalledMs?: number | undefined;
}

/** What a workload's host does around its requests, and the account of what the workload tells it. */
export class TrialLoop implements WorkLoop {
  /** What the workload did against its contract. */
  readonly wrongs: string[] = [];
  /** What the driver half said of buffers that the device had, when {@link askBuffers} asked. */
  readonly described: unknown[] = [];
  /** What the driver half said of changes of the configuration. */
  readonly changes: unknown[] = [];
  turns = 0;
  disruptions = 0;
  readonly #parts: TrialLoopParts;
  #workload: Workload | undefined;
  #done: WorkDone | undefined;
  #since = 0;
  #idleTurns = 0;
  #failures = 0;
  #resets = 0;
  #completed = 0;
  /** Whether `disrupt` was called since the last turn. */
  #isDisrupted = false;
  #turnsWithout = 0;

  constructor(parts: TrialLoopParts) {
    this.#parts = parts;
  }

  /** Gives buffers that queue resets return to the workload. */
  attach(workload: Workload): void {
    this.#workload = workload;
  }

  /** Requests completed in turns without `disrupt` before them. */
  get undisrupted(): number {
    return this.#turnsWithout;
  }

  disrupt(completed: number): void {
    this.disruptions++;
    this.#isDisrupted = true;
    this.#checkCount('disrupt', completed);
    const { device, resetsEach, resets } = this.#parts;
    if (resetsEach === undefined || this.#resets >= resets) return;
    if (device.handled < resetsEach * (this.#resets + 1) && device.budget > 0) return;
    this.#resets++;
    this.#resetQueues();
    device.allow(this.#resets >= resets ? Infinity : resetsEach);
  }

  async turn(progress: number, completed: number): Promise<void> {
    const { device, driver, queues, resetsEach } = this.#parts;
    this.turns++;
    this.#checkCount('turn', completed);
    if (completed > this.#completed && !this.#isDisrupted) this.#turnsWithout++;
    this.#completed = completed;
    this.#isDisrupted = false;
    if (!Number.isInteger(progress) || progress < 0) this.wrongs.push(`turn was told of progress ${progress}`);
    for (const { broken } of queues)
      if (broken !== undefined) throw new DeviceError('ERR_QUEUE_BROKEN', `${broken.code}: ${broken.detail}`);
    checkDevice(device);
    device.wait(0);
    if (device.takeConfigChange()) this.changes.push(driver.configChanged?.());
    device.lookAround();
    if (progress > 0) {
      this.#idleTurns = this.#failures = 0;
      return;
    }
    if (device.budget <= 0 && resetsEach === undefined) throw new TrialAborted('the device handles no more buffers');
    await this.#idle();
  }

  failedToAdd(reason: number): void {
    if (++this.#failures < MOST_FAILURES) return;
    throw mappingRefusal('not even one request can be mapped', reason);
  }

  /** Asks the driver half what each buffer that the device has is for. */
  askBuffers(): void {
    const { driver, queues } = this.#parts;
    for (const queue of queues) {
      for (const { id, isOutstanding } of queue.inspectBuffers())
        if (isOutstanding) this.described.push(driver.describeBuffer?.(queue.index, id));
    }
  }

  async #idle(): Promise<void> {
    const { device, queues, resetsEach, stalledMs = STALLED_MS } = this.#parts;
    // Before its first request a workload lets nothing disrupt it.
    if (resetsEach !== undefined && device.budget <= 0 && this.#idleTurns > 2) device.allow(1);
    for (const queue of queues) queue.enableNotifications();
    const now = performance.now();
    if (this.#idleTurns++ === 0) this.#since = now;
    const isEventful = device.model.usesEventLoop === true;
    // A driver half gives a failed map some time, too.
    const isLong = isEventful ? now - this.#since > stalledMs : this.#idleTurns > STALLED_TURNS;
    if (isLong) throw new DeviceError('ERR_DEVICE_STALLED', 'no request completed');
    await setTimeout(isEventful || this.#idleTurns > 8 ? 1 : 0);
  }

  /** What a workload says of itself agrees with what it tells the loop, and only grows. */
  #checkCount(method: string, completed: number): void {
    const before = this.#done;
    const done = (this.#done = { ...this.#workload!.done });
    if (completed !== done.requests)
      this.wrongs.push(`${method} was told of ${completed} complete requests while done.requests is ${done.requests}`);
    for (const key of ['requests', 'bytes', 'repeated'] as const) {
      if (!Number.isSafeInteger(done[key]) || done[key] < 0) this.wrongs.push(`done.${key} is ${String(done[key])}`);
      if (before !== undefined && done[key] < before[key])
        this.wrongs.push(`done.${key} fell from ${before[key]} to ${done[key]}`);
    }
  }

  #resetQueues(): void {
    const { device, queues, resetsQueue } = this.#parts;
    for (const [place, queue] of queues.entries()) {
      if (resetsQueue !== undefined && place !== resetsQueue) continue;
      resetQueue(device, queue.index);
      const ids = queue.reset();
      this.#workload?.recover?.(queue.index, ids);
      device.enableQueue(queue.index, queue.addresses);
    }
  }
}
