import type { SplitScan } from './split-scan.ts';

/** Notifications that a front-end may send on its own when it starts a ring: QEMU does. */
const OF_FRONT_END = 4;

/**
 * How many notifications the driver of a split ring may have sent so far: one for each buffer that it made available
 * while the device wanted notifications, or with EVENT_IDX one for each event index that the device wrote. More came
 * without a look at what the device wants. Never counts one too few.
 */
export class KickAccount {
  readonly #scan: Pick<SplitScan, 'availableIndex'>;
  readonly #eventIdx: boolean;
  #allowed = OF_FRONT_END;
  #received = 0;
  /** The available index from which on buffers count; -1 while the device wants no notification. */
  #since: number;
  /** The available index up to which buffers were counted: each is notified of once at the most. */
  #counted: number;

  /** `position` is the available index at which the ring starts. */
  constructor(scan: Pick<SplitScan, 'availableIndex'>, eventIdx: boolean, position: number) {
    this.#scan = scan;
    this.#eventIdx = eventIdx;
    this.#since = before(position);
    this.#counted = position;
    if (eventIdx) this.#allowed++;
  }

  /** The device is about to ask for notifications. */
  opens(): void {
    const available = this.#scan.availableIndex;
    // Without a new buffer a driver has nothing to notify of, although the device asks again.
    const hasNew = available !== this.#counted;
    if (this.#eventIdx) {
      if (hasNew) this.#allowed++;
      this.#counted = available;
      return;
    }
    if (this.#since >= 0) return;
    // A driver between its buffer and its look at the flag notifies for a buffer from before.
    this.#since = hasNew ? before(available) : available;
  }

  /** The device does not ask for notifications any more. */
  closed(): void {
    if (this.#eventIdx || this.#since < 0) return;
    const available = this.#scan.availableIndex;
    this.#allowed += (available - this.#since) & 0xffff;
    this.#counted = available;
    this.#since = -1;
  }

  /** Counts notifications that came. Returns how many of them the device had not asked for. */
  received(count: number): number {
    this.#received += count;
    const needless = this.#received - this.#allowed - this.#open;
    if (needless <= 0) return 0;
    this.#received -= needless;
    return needless;
  }

  /** Buffers that became available since the device asked. */
  get #open(): number {
    return this.#since < 0 || this.#eventIdx ? 0 : (this.#scan.availableIndex - this.#since) & 0xffff;
  }
}

function before(index: number): number {
  return (index - 1) & 0xffff;
}
