import { DeviceError } from '@virtio-platform/core';
import type { Transport } from '@virtio-platform/core/device';
import type { Virtqueue } from '@virtio-platform/core/queue';

/** The used buffer notifications of a run, as its driver saw them. */
export interface UsedNotificationCounts {
  /** Waits with notifications enabled that ended with a used buffer: the device owed each a notification. */
  readonly wanted: number;
  /** Notifications that came. */
  readonly received: number;
  /** Waits with notifications enabled in which a buffer was used and no notification came. */
  readonly missed: number;
  /** Notifications after which no buffer was used: superfluous ones, and those that crossed with the driver's look. */
  readonly spurious: number;
  /** Rounds that found used buffers while the driver suppressed notifications. */
  readonly suppressed: number;
}

/** The place of the first missed notification. */
export interface MissedNotification {
  /** `undefined` where the driver took the buffers of several queues before it looked for the notification. */
  readonly queue: number | undefined;
  /** Requests that were complete when the driver began to wait. */
  readonly completed: number;
  /** The position of the used buffer that owed the notification, as `Virtqueue.nextUsed` has it; 0 without a queue. */
  readonly asked: number;
  /** What the driver asked for, and what the device did, in the ring's own fields. */
  readonly ring: string;
}

/**
 * How long a notification may come after the used buffer that it is for: a back-end that loses its processor between
 * the two is slow, not wrong. Milliseconds, for the first that is late and for the others.
 */
const FIRST_GRACE_MS = 1000;
const GRACE_MS = 50;
/** Of so many rounds that take used buffers back, one owes a notification that the driver does not wait for. */
const CHECKED_ROUNDS = 64;
/** Missed notifications after which a run has shown enough: each costs the driver a wait. */
export const MOST_MISSED = 16;

/**
 * Accounts for the used buffer notifications of one driver (specification 1.4 sections 2.7.7.2 and 2.8.14): after the
 * driver enabled notifications and found no used buffer, the device has to send one with the next used buffer. A used
 * buffer that lies in a ring after a wait without a notification is a missed notification.
 */
export class UsedNotifications {
  readonly #transport: Transport;
  readonly #queues: readonly Virtqueue[];
  #wanted = 0;
  #received = 0;
  #missed = 0;
  #spurious = 0;
  #suppressed = 0;
  /** Rounds in which used buffers were taken back. */
  #rounds = 0;
  /** Whether notifications are enabled on all queues, and have been since before the last look at the rings. */
  #isEnabled = false;
  /** Whether a notification came since then, or is known to be missed. */
  #isSettled = false;
  #first: MissedNotification | undefined;
  /** By queue: the position of its next used buffer when notifications were enabled. */
  readonly #nextUsed: Int32Array;

  readonly #onMissed: ((missed: MissedNotification) => void) | undefined;

  /**
   * Enables notifications: the first used buffer owes one. `queues` are set up, and the device has not started.
   * `onMissed` is told of the first notification that is missed, at that moment.
   */
  constructor(transport: Transport, queues: readonly Virtqueue[], onMissed?: (missed: MissedNotification) => void) {
    this.#transport = transport;
    this.#queues = queues;
    this.#onMissed = onMissed;
    this.#nextUsed = new Int32Array(queues.length);
    this.enable();
  }

  get counts(): UsedNotificationCounts {
    return {
      wanted: this.#wanted,
      received: this.#received,
      missed: this.#missed,
      spurious: this.#spurious,
      suppressed: this.#suppressed,
    };
  }

  /** The first notification that was missed. */
  get first(): MissedNotification | undefined {
    return this.#first;
  }

  /** Enables notifications on all queues. Returns false where used buffers are there already. */
  enable(): boolean {
    if (this.#isEnabled && this.#isSettled) this.#spurious++;
    let isQuiet = true;
    for (let i = 0; i < this.#queues.length; i++) {
      const queue = this.#queues[i]!;
      if (!queue.enableNotifications()) isQuiet = false;
      this.#nextUsed[i] = queue.nextUsed;
    }
    this.#isEnabled = isQuiet;
    this.#isSettled = false;
    return isQuiet;
  }

  /** A wait with notifications enabled ended with one. */
  notified(): void {
    this.#received++;
    this.#isSettled = true;
  }

  /**
   * A wait with notifications enabled ended without one, when `completed` requests were complete. Where a used buffer
   * lies in a ring all the same, waits a little longer for its notification.
   */
  timedOut(completed: number): void {
    const queue = this.#queues.find((candidate) => candidate.inspect().hasUsed);
    if (queue !== undefined) this.#expectLate(completed, queue, queue.index);
  }

  /**
   * A round of the driver made progress, after `completed` requests. Where it took used buffers back and had not waited
   * for their notification, the notification is there already, or late. Suppresses notifications, but for one round in
   * {@link CHECKED_ROUNDS}: a device that is always faster than the driver's next look at the ring would never owe any.
   */
  progressed(completed: number): void {
    if (this.#isEnabled) {
      // What happened was of the driver alone, such as a request that it made: the device owes nothing yet.
      if (!this.#hasTaken()) return;
      this.#wanted++;
      if (!this.#isSettled) this.#expectTaken(completed);
      this.suppress();
    } else this.#suppressed++;
    if (++this.#rounds % CHECKED_ROUNDS === 0) this.enable();
  }

  /** Suppresses notifications until {@link enable}: the device owes none. */
  suppress(): void {
    this.#isEnabled = false;
    this.#isSettled = false;
    for (const queue of this.#queues) queue.disableNotifications();
  }

  /** Whether used buffers were taken back since notifications were enabled. */
  #hasTaken(): boolean {
    for (let i = 0; i < this.#queues.length; i++) if (this.#queues[i]!.nextUsed !== this.#nextUsed[i]) return true;
    return false;
  }

  /** Used buffers were taken back: of one queue, or of several, of which one at least owed a notification. */
  #expectTaken(completed: number): void {
    const moved = this.#queues.filter(({ nextUsed }, i) => nextUsed !== this.#nextUsed[i]);
    this.#expectLate(completed, moved[0]!, moved.length === 1 ? moved[0]!.index : undefined);
  }

  /** Used buffers are there, and no notification came yet: waits for it. `shown` is the queue in the report. */
  #expectLate(completed: number, shown: Virtqueue, queue: number | undefined): void {
    this.#isSettled = true;
    if (this.#transport.wait(this.#missed === 0 ? FIRST_GRACE_MS : GRACE_MS) === 'notified') {
      this.#received++;
      return;
    }
    this.#missed++;
    if (this.#first !== undefined) return;
    const asked = queue === undefined ? 0 : this.#nextUsed[this.#queues.indexOf(shown)]!;
    this.#first = { queue, completed, asked, ring: describeEvents(shown) };
    this.#onMissed?.(this.#first);
  }
}

/**
 * Throws {@link DeviceError} `ERR_NOTIFICATION_MISSED` where a notification is missing: at the end of a workload, or
 * once {@link MOST_MISSED} are.
 */
export function throwMissed({ counts, first }: UsedNotifications): void {
  if (first === undefined) return;
  const { queue, completed, ring } = first;
  const owed = Math.max(counts.missed, counts.wanted);
  throw new DeviceError(
    'ERR_NOTIFICATION_MISSED',
    `the device used buffers and sent no notification: ${counts.missed} of ${owed} missed; ` +
      `the first on ${queue === undefined ? 'one of the queues' : `queue ${queue}`} after ${completed} requests (${ring})`,
    {
      hint: 'after each used buffer, compare the used index with what the driver asked for (2.7.7, 2.8.10)',
    },
  );
}

/** What the driver asked for and how far the device is, in the fields of the ring. */
function describeEvents(queue: Virtqueue): string {
  const { layout, eventIdx, driver, driverEvent, used } = queue.inspect();
  const asked = eventIdx
    ? `${layout === 'split' ? 'used_event' : 'driver event'} ${driverEvent.position}`
    : `${layout === 'split' ? 'avail.flags' : 'driver event flags'} ${driverEvent.flags}`;
  return used === undefined ? `${asked}, used slots to ${driver.taken & 0x7fff}` : `${asked}, used.idx ${used}`;
}
