import { ContractError, describeError, KEPT, type DeviceModel, type DeviceQueues } from '@virtio-platform/core';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { MisbehaviorSignal, type Misbehavior } from '@virtio-platform/core/failure';
import type { FeatureSet } from '@virtio-platform/core/features';
import type { ServedRecording } from './served-recording.ts';
import type { ServedWatch } from '../strict/served-watch.ts';
import { AdaptivePoll } from './adaptive-poll.ts';
import { ServedQueue, type QueueEnd, type RingSetup } from './served-queue.ts';

/** Who is told of what a served device does. */
export interface ServedDeviceListener {
  /** The driver is to be notified of a queue. Hot. */
  notify(queue: number): void;
  /** A queue, or the device where it is -1, does nothing any more until it is reset. */
  broken(queue: number, reason: string): void;
  /** The device half met an error and went on. */
  failed(queue: number, reason: string): void;
  configChanged(): void;
  /** The device misbehaved on purpose, for the `count`th time in this way; `head` is -1 where that has no buffer. */
  misbehaved(way: keyof Misbehavior, queue: number, head: number, count: number): void;
  /** The device is gone for good, on purpose. */
  died(reason: string): void;
}

/** What a served device is beside its device half. */
export interface ServedDeviceOptions {
  /** What finds the mistakes of drivers. */
  readonly watch?: ServedWatch | undefined;
  readonly recording?: ServedRecording | undefined;
  /** Microseconds for which rings are looked at, at most, before a notification is waited for. Default: 0. */
  readonly pollMicros?: number | undefined;
}

/** Buffers that are served before the event loop runs on: messages and signals wait no longer than that. */
const MOST_AT_ONCE = 512;

/**
 * A device half with the queues that a front-end set up. Buffers are served in slices of the event loop, so that a
 * driver that is always faster keeps no message waiting.
 */
export class ServedDevice implements DeviceQueues {
  readonly model: DeviceModel;
  /** What finds the mistakes of drivers; `undefined` where they are not looked for. */
  readonly watch: ServedWatch | undefined;
  readonly #recording: ServedRecording | undefined;
  /** Of the front-end that there is. */
  #listener: ServedDeviceListener | undefined;
  /** By index. */
  readonly #queues: (ServedQueue | undefined)[];
  /** What queues were opened over, and what the device half is given. */
  #opened: DeviceAddressSpace | undefined;
  #space: DeviceAddressSpace | undefined;
  #isRunning = false;
  #isStarted = false;
  #isBroken = false;
  #serving = -1;
  #isServing = false;
  #next: NodeJS.Immediate | undefined;
  #served = 0;
  /** How often it misbehaved in which way. */
  readonly #misbehaved = new Map<keyof Misbehavior, number>();
  readonly #poll: AdaptivePoll;
  /** Whether rings are looked at again and again, and drivers need not notify. */
  #isPolling = false;

  /** `queueCount` of its queues are the front-end's to set up. Owns the device half and the watch. */
  constructor(model: DeviceModel, queueCount: number, { watch, recording, pollMicros = 0 }: ServedDeviceOptions = {}) {
    this.model = model;
    this.watch = watch;
    this.#recording = recording;
    this.#poll = new AdaptivePoll(pollMicros);
    this.#queues = Array.from({ length: queueCount }, () => undefined);
    model.connect?.({
      queueChanged: () => this.wake(),
      configChanged: () => this.#listener?.configChanged(),
      misbehaved: (way, queue, head) => {
        const count = (this.#misbehaved.get(way) ?? 0) + 1;
        this.#misbehaved.set(way, count);
        this.#listener?.misbehaved(way, queue, head, count);
      },
    });
  }

  /** Has `listener` told of what the device does from here on; `undefined` while there is no front-end. */
  listen(listener: ServedDeviceListener | undefined): void {
    this.#listener = listener;
  }

  get queueCount(): number {
    return this.#queues.length;
  }

  /** Buffers that were taken from all queues so far. */
  get served(): number {
    return this.#served;
  }

  /** Whether a queue is set up and was not ended. */
  isOpen(index: number): boolean {
    return this.#queues[index] !== undefined;
  }

  /** Buffers that were taken from a queue since it was opened. */
  buffersOf(index: number): number {
    return this.#queues[index]?.popped ?? 0;
  }

  /** Whether the queue that is served right now was ended meanwhile: what is done for a buffer of it is in vain. */
  get isServedQueueGone(): boolean {
    return this.#serving >= 0 && this.#queues[this.#serving] === undefined;
  }

  /** Whether any queue is. */
  get isInUse(): boolean {
    return this.#queues.some((queue) => queue !== undefined);
  }

  /**
   * Opens a queue, which is served once it is enabled. The first one starts the device half with the features that were
   * accepted. Throws `RangeError` for a ring that its layout forbids, and what the device half throws.
   */
  open(index: number, setup: RingSetup, accepted: FeatureSet, space: DeviceAddressSpace): void {
    const { watch } = this;
    const recording = this.#recording;
    if (!this.#isStarted) watch?.started(accepted);
    const queue = new ServedQueue(space, setup, (inner) => {
      const watched = watch?.queue(inner, index, setup, space) ?? inner;
      return recording?.queue(watched, index) ?? watched;
    });
    if (!this.#isStarted) this.#start(accepted);
    const watched = watch?.addressSpace(space) ?? space;
    if (this.#opened !== space) this.#space = recording?.addressSpace(watched) ?? watched;
    this.#opened = space;
    this.#queues[index] = queue;
  }

  /** Has a queue served, or left alone. */
  enable(index: number, isEnabled: boolean): void {
    const queue = this.#queues[index];
    if (queue === undefined || queue.isEnabled === isEnabled || queue.queue.broken !== undefined) return;
    queue.isEnabled = isEnabled;
    this.watch?.served(index, isEnabled && this.#isRunning);
    if (isEnabled) this.wake();
  }

  /** Has all queues served that are enabled, or none: the driver of the device is ready, or not. */
  run(isRunning: boolean): void {
    if (this.#isRunning === isRunning) return;
    this.#isRunning = isRunning;
    for (const [index, queue] of this.#queues.entries())
      this.watch?.served(index, isRunning && queue?.isEnabled === true);
    if (isRunning) this.wake();
  }

  /** Ends a queue: it is not touched again. Returns where it stopped; `undefined` where it was not open. */
  end(index: number): QueueEnd | undefined {
    const queue = this.#queues[index];
    if (queue === undefined) return undefined;
    const end = queue.end();
    this.#queues[index] = undefined;
    this.watch?.ended(index);
    this.#guard(index, () => this.model.forget(index));
    if (!this.isInUse) this.#isStarted = this.#isBroken = false;
    return end;
  }

  /** Ends all queues, and resets the device half: what a driver wrote to the configuration has its first values. */
  reset(): void {
    for (let index = 0; index < this.#queues.length; index++) this.end(index);
    this.resetModel();
    this.#isStarted = this.#isBroken = false;
  }

  /** Resets the device half alone: the front-end asks later where the queues stopped. */
  resetModel(): void {
    this.#guard(-1, () => this.model.reset?.());
  }

  /** The driver notified `count` times of a queue; `isLive` tells whether it set DRIVER_OK. */
  kicked(index: number, count: number, isLive: () => boolean): void {
    this.#recording?.kicked(index, count);
    if (!this.#isPolling) this.#poll.notified();
    this.wake();
    this.watch?.kicked(index, count, isLive);
  }

  /** Ends the device: it does nothing any more until it is reset, for this reason. */
  fail(reason: string): void {
    this.#isBroken = true;
    this.#listener?.broken(-1, reason);
  }

  /** Serves what is available, now and in later slices of the event loop. */
  wake(): void {
    if (this.#isServing) return;
    this.#isServing = true;
    try {
      this.#serveAll();
    } catch (error) {
      this.#crash(this.#serving, error);
    } finally {
      this.#isServing = false;
      this.#serving = -1;
    }
  }

  /** Returns a buffer that the device half kept. */
  push(index: number, head: number, written: number): void {
    if (written !== written >>> 0) throw new ContractError('device', 'push', 'was given no number of bytes');
    const queue = this.#queues[index]?.queue;
    queue?.push(head, written);
    if (this.#isServing && index !== this.#serving && queue?.flush() === true && this.model.notifies?.(index) !== false)
      this.#listener?.notify(index);
  }

  report(queue: number, error: unknown): void {
    this.#listener?.failed(queue, describeError(error));
  }

  dispose(): void {
    if (this.#next !== undefined) clearImmediate(this.#next);
    this.#queues.fill(undefined);
    this.watch?.dispose();
    this.model.dispose();
  }

  #start(accepted: FeatureSet): void {
    this.#isStarted = true;
    this.model.start(accepted);
  }

  #serveAll(): void {
    let left = MOST_AT_ONCE;
    for (let isBusy = true; isBusy && this.#isRunning && !this.#isBroken;) {
      isBusy = false;
      for (let index = 0; index < this.#queues.length && left > 0; index++) {
        const queue = this.#queues[index];
        if (queue?.isEnabled !== true) continue;
        const served = this.#serve(index, queue, left);
        left -= served;
        if (served > 0) isBusy = true;
      }
      if (left > 0) continue;
      this.#goOn();
      return;
    }
    if (left === MOST_AT_ONCE && !this.#isPolling) return;
    this.#lookAgain(left < MOST_AT_ONCE);
  }

  /** Goes on in the next turn of the event loop. */
  #goOn(): void {
    this.#next ??= setImmediate(() => {
      this.#next = undefined;
      this.wake();
    });
  }

  /** Everything was served: looks again as long as that is worth it, and then asks for notifications. */
  #lookAgain(wasBusy: boolean): void {
    const isOn = this.#isRunning && !this.#isBroken;
    const goesOn = isOn && (wasBusy ? this.#poll.begin() : !this.#poll.isOver());
    const hasEnded = this.#isPolling && !goesOn;
    this.#isPolling = goesOn;
    if (goesOn) this.#goOn();
    // What came in between is served with the notifications on.
    else if (hasEnded && isOn) this.#serveAll();
  }

  /** Serves at most `most` buffers of a queue. Returns how many it served. Hot. */
  #serve(index: number, served: ServedQueue, most: number): number {
    const { queue } = served;
    const space = this.#space!;
    let count = 0;
    this.#serving = index;
    do {
      served.disableNotifications();
      while (count < most && this.model.wants(index) && served.pop()) {
        count++;
        this.#served++;
        const written = this.model.process(index, served.chain, space, this);
        // Ended from inside, while it waited for the front-end: a queue is not touched after that.
        if (this.#queues[index] !== served) return count;
        if (written === written >>> 0) queue.push(served.chain.head, written);
        else if (written !== KEPT) throw new ContractError('device', 'process', 'returned no number of bytes');
      }
      if (queue.flush() && this.model.notifies?.(index) !== false) this.#listener?.notify(index);
    } while (count < most && this.model.wants(index) && !this.#isPolling && !served.enableNotifications());
    if (queue.broken !== undefined) this.#break(index, served);
    return count;
  }

  #break(index: number, served: ServedQueue): void {
    const { code, detail } = served.queue.broken!;
    served.isEnabled = false;
    // The device was ended for what it says here.
    if (!this.#isBroken) this.#listener?.broken(index, `${code}: ${detail}`);
  }

  #guard(queue: number, call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#crash(queue, error);
    }
  }

  /** The device half threw: it does nothing any more until it is reset. */
  #crash(queue: number, error: unknown): void {
    this.#isBroken = true;
    if (!(error instanceof MisbehaviorSignal)) return this.#listener?.broken(queue, describeError(error));
    if (error.kind === 'needs-reset') return this.#listener?.broken(-1, error.message);
    // Nothing that was done is shown any more.
    this.#queues.fill(undefined);
    this.#listener?.died(error.message);
  }
}
