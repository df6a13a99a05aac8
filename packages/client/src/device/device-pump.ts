import { DeviceError, type DriverHalf } from '@virtio-platform/core';
import { checkDevice, type Transport } from '@virtio-platform/core/device';
import type { Virtqueue } from '@virtio-platform/core/queue';
import { AdaptivePolling } from './adaptive-polling.ts';
import { NotificationSource } from './notification-source.ts';

/** What a pump drives: the requests of one device. */
export interface PumpWork {
  /**
   * Takes back what the device returned, submits what waits, publishes and notifies. Returns how much happened: 0 where
   * nothing did and a further call would not change that.
   */
  round(): number;
  /** Requests whose callers wait, and that a working device answers soon. */
  readonly awaited: number;
  /** Whether used buffers of a queue are of interest now: not while their reader is slow. */
  wants(queue: Virtqueue): boolean;
}

/** Who is told of what happens to a device. */
export interface PumpListener {
  /** The device failed. Called once; the pump does nothing more. */
  failed(error: unknown): void;
  /** The configuration changed, and the driver half read it: what changed, where it knows it. */
  changed(what: string | undefined): void;
}

/** A started device, as a pump needs it. */
export interface PumpedDevice {
  readonly transport: Transport;
  readonly queues: readonly Virtqueue[];
  readonly driver: DriverHalf;
  /** Milliseconds without progress after which a device with awaited requests counts as stalled. */
  readonly timeoutMs: number;
}

/** How long a pump works before timers and sockets of the program run. */
const SLICE_MS = 5;
/** Rounds without progress although used buffers are there, after which a queue is not of this pump. */
const MOST_FRUITLESS = 4;
/** How often at most the status of a device is read that notifies of nothing. */
const CHECK_MS = 50;
/** How often a pump that is not told of notifications looks at the configuration, and whether the device is there. */
const LOOK_AROUND_MS = 1000;
/** How often it is seen whether requests stall. */
const WATCHDOG_MS = 500;
/** Notifications that are taken in a row before the rings are looked at. */
const MOST_TAKEN = 4;
/** How often a pump looks on before it waits, however short a look is. */
const MOST_LOOKS = 1000;

/**
 * Drives one device in the event loop: submits, publishes, polls, and sleeps when nothing is left to do. It looks a
 * little longer for a device that answers soon ({@link AdaptivePolling}). Before it sleeps it enables notifications and
 * looks at the rings once more, so that no notification is lost between the last look and the sleep (specification 1.4
 * section 2.7.14). One pump serves all requests of its device.
 */
export class DevicePump {
  readonly #source: NotificationSource;
  readonly #transport: Transport;
  readonly #polling = new AdaptivePolling();
  /** By queue: the position of its next used buffer when {@link #hasReturned} looked last. */
  readonly #nextUsed: number[] = [];
  #device: PumpedDevice | undefined;
  #work: PumpWork | undefined;
  #listener: PumpListener | undefined;
  #isRunning = false;
  #isScheduled = false;
  #isStopped = false;
  /** Whether a notification may have come that was not taken yet. */
  #mayBeNotified = false;
  /** Since when the work of this turn of the event loop goes on; -1 where none was done yet. */
  #turnSince = -1;
  #progressAt = 0;
  #checkedAt = 0;
  #watchdog: NodeJS.Timeout | undefined;
  #wakeUps = 0;
  #rescued = 0;

  /** Watches the transport of a device that is not started yet. */
  constructor(transport: Transport) {
    this.#transport = transport;
    const told = (): void => {
      this.#mayBeNotified = true;
      this.#wakeUps++;
      this.#run();
    };
    this.#source = new NotificationSource(transport, told, () => this.#run());
  }

  /** How often a notification woke the pump, and how often it found by its watchdog what no notification told of. */
  get statistics(): { readonly wakeUps: number; readonly rescued: number } {
    return { wakeUps: this.#wakeUps, rescued: this.#rescued };
  }

  /** The device is started: works from here on. */
  start(device: PumpedDevice, work: PumpWork, listener: PumpListener): void {
    this.#device = device;
    this.#work = work;
    this.#listener = listener;
    this.#progressAt = performance.now();
    this.wake();
  }

  /** There is something to do: runs soon, once for all that is submitted until then. */
  wake(): void {
    if (this.#isScheduled || this.#isRunning || this.#isStopped || this.#work === undefined) return;
    this.#isScheduled = true;
    const now = performance.now();
    if (this.#turnSince < 0) {
      this.#turnSince = now;
      setImmediate(() => {
        this.#turnSince = -1;
      });
    }
    // A device that answers at once could keep the program in microtasks for ever.
    if (now - this.#turnSince < SLICE_MS) queueMicrotask(() => this.#run());
    else setImmediate(() => this.#run());
  }

  /** Touches the device no more. */
  stop(): void {
    this.#isStopped = true;
    this.#source.stop();
    clearTimeout(this.#watchdog);
  }

  #run(): void {
    const [device, work] = [this.#device, this.#work];
    this.#isScheduled = false;
    if (this.#isStopped || this.#isRunning || device === undefined || work === undefined) return;
    this.#isRunning = true;
    this.#source.cancel();
    try {
      this.#takeNotifications(device);
      const isDone = this.#rounds(device, work);
      this.#isRunning = false;
      if (!isDone) this.#continueLater();
      else if (!this.#source.isTold) this.#source.lookLater(performance.now() - this.#progressAt, work.awaited > 0);
      if (work.awaited > 0) this.#guard();
    } catch (error) {
      this.#isRunning = false;
      this.#giveUp(error);
    }
  }

  #continueLater(): void {
    this.#isScheduled = true;
    setImmediate(() => this.#run());
  }

  #giveUp(error: unknown): void {
    if (this.#isStopped) return;
    this.stop();
    this.#listener?.failed(error);
  }

  /** Works until there is nothing to do. Returns false where the slice ended before. */
  #rounds(device: PumpedDevice, work: PumpWork): boolean {
    const { queues } = device;
    const wasNotified = this.#mayBeNotified;
    this.#mayBeNotified = false;
    const end = performance.now() + SLICE_MS;
    let isFirst = true;
    for (let fruitless = 0; ;) {
      if (work.round() > 0 || this.#looksOn(work)) {
        if (isFirst) for (const queue of queues) queue.disableNotifications();
        isFirst = false;
        fruitless = 0;
        this.#progressAt = performance.now();
        if (this.#hasReturned(queues)) this.#polling.ended(this.#progressAt);
        if (this.#progressAt > end) return false;
        continue;
      }
      throwIfBroken(queues);
      if (wasNotified && isFirst) this.#checkNow(device);
      if (!this.#source.isTold || this.#isQuiet(queues, work)) {
        if (work.awaited > 0) this.#polling.waits(performance.now());
        return true;
      }
      isFirst = false;
      if (++fruitless < MOST_FRUITLESS) continue;
      for (const queue of queues) queue.disableNotifications();
      return true;
    }
  }

  /** Looks for what comes at once, before it waits for a notification. Returns whether something happened. */
  #looksOn(work: PumpWork): boolean {
    if (work.awaited === 0 || !this.#source.isTold) return false;
    const start = performance.now();
    const windowMs = this.#polling.windowAt(start);
    if (windowMs === 0) return false;
    // The clock of a program under test may stand still.
    for (let looks = 0; looks < MOST_LOOKS && performance.now() - start < windowMs; looks++) {
      if (work.round() === 0) continue;
      this.#polling.came();
      return true;
    }
    this.#polling.missed();
    return false;
  }

  /** Whether the device returned a buffer since the last call. */
  #hasReturned(queues: readonly Virtqueue[]): boolean {
    let hasReturned = false;
    for (let i = 0; i < queues.length; i++) {
      const { nextUsed } = queues[i]!;
      if (nextUsed !== this.#nextUsed[i]) hasReturned = true;
      this.#nextUsed[i] = nextUsed;
    }
    return hasReturned;
  }

  /** Enables notifications. Returns whether no used buffer is there that the work wants. */
  #isQuiet(queues: readonly Virtqueue[], work: PumpWork): boolean {
    let isQuiet = true;
    for (const queue of queues) {
      if (!work.wants(queue)) queue.disableNotifications();
      else if (!queue.enableNotifications()) isQuiet = false;
    }
    return isQuiet;
  }

  #takeNotifications({ driver }: PumpedDevice): void {
    const isDue = !this.#source.isTold && performance.now() - this.#checkedAt > LOOK_AROUND_MS;
    if (!this.#mayBeNotified && !isDue) return;
    if (isDue) {
      this.#checkedAt = performance.now();
      checkDevice(this.#transport);
    }
    for (let taken = 0; taken < MOST_TAKEN; taken++) {
      const result = this.#transport.wait(0);
      if (result === 'timeout') break;
      if (result === 'lost') throwLost(this.#transport);
    }
    if (this.#transport.takeConfigChange?.() !== true) return;
    // A device that needs a reset says so with such a notification (section 2.1.2).
    checkDevice(this.#transport);
    this.#listener?.changed(driver.configChanged?.());
  }

  /** A notification came and no buffer: the device may ask for a reset. */
  #checkNow(device: PumpedDevice): void {
    const now = performance.now();
    if (now - this.#checkedAt < CHECK_MS) return;
    this.#checkedAt = now;
    checkDevice(device.transport);
  }

  /** From time to time, while requests are awaited: whether they stall. */
  #guard(): void {
    // After the poll phase of the loop: notifications that are there already were told by then.
    this.#watchdog ??= setTimeout(() => setImmediate(() => this.#watch()), WATCHDOG_MS).unref();
  }

  #watch(): void {
    this.#watchdog = undefined;
    const [device, work] = [this.#device!, this.#work!];
    if (this.#isStopped || work.awaited === 0) return;
    const idleMs = performance.now() - this.#progressAt;
    if (idleMs < WATCHDOG_MS) return this.#guard();
    const before = this.#progressAt;
    this.#run();
    if (this.#progressAt === before) this.#throwIfStalled(device, idleMs);
    else if (this.#source.isTold) this.#rescued++;
  }

  #throwIfStalled({ transport, timeoutMs, queues }: PumpedDevice, idleMs: number): void {
    if (this.#isStopped || idleMs < timeoutMs) return;
    try {
      checkDevice(transport);
      const buffers = queues.reduce((sum, { outstanding }) => sum + outstanding, 0);
      throw new DeviceError(
        'ERR_DEVICE_STALLED',
        `no request completed in ${timeoutMs} ms: the device has ${buffers} ${buffers === 1 ? 'buffer' : 'buffers'}`,
        { hint: 'look whether the device still runs; driver.timeout of the profile says how long it may take' },
      );
    } catch (error) {
      this.#giveUp(error);
    }
  }
}

function throwIfBroken(queues: readonly Virtqueue[]): void {
  for (const { broken, index } of queues) {
    if (broken === undefined) continue;
    throw new DeviceError('ERR_QUEUE_BROKEN', `queue ${index}: ${broken.code}: ${broken.detail}`);
  }
}

function throwLost(transport: Transport): never {
  // The transport knows more: the last command, and what the back-end printed.
  transport.readStatus();
  throw new DeviceError('ERR_DEVICE_LOST', 'the device is gone', {
    hint: 'see whether the back-end still runs and what it printed last',
  });
}
