import { PeerEvent } from '@virtio-platform/host';

/** How often a ring is looked at whose driver does not notify, in milliseconds. */
const POLL_MS = 1;

/** What a front-end said of one queue, and the descriptors that it gave for notifications. */
export class Vring {
  /** Entries; 0 until it was said. */
  size = 0;
  /** Where it begins, as SET_VRING_BASE has it; `undefined` until it was said. */
  base: number | undefined;
  /** The addresses of descriptor, driver and device area; `undefined` until they were said. */
  areas: readonly [bigint, bigint, bigint] | undefined;
  /** Where the device area is for the log, as low and high word; `undefined` while its writes are not logged. */
  logArea: readonly [low: number, high: number] | undefined;
  /** Whether it was started, and not stopped. */
  isStarted = false;
  /** Whether it was enabled or disabled; `undefined` where neither was said. */
  isEnabled: boolean | undefined;
  /** Whether it was given a descriptor for kicks and was not looked at since: a kick may be in the one before. */
  isUnseen = false;
  /** Notifications of the driver, as far as they came one by one. */
  kicks = 0;
  /** Notifications for the driver. */
  calls = 0;
  #kick: PeerEvent | undefined;
  #call: PeerEvent | undefined;
  #error: PeerEvent | undefined;
  #poll: NodeJS.Timeout | undefined;
  /** Whether the driver was to be notified since the ring was started. */
  #hasCalled = false;

  /**
   * Starts the ring: `listener` is called when the driver notifies, with the number of times, or with 0 all the time
   * where it gives no descriptor. Takes the descriptor over. Throws {@link HostError} for one that is not for
   * notifications.
   */
  start(descriptor: number | undefined, listener: (count: number) => void): void {
    this.#endKicks();
    if (descriptor === undefined) {
      this.#poll = setInterval(() => listener(0), POLL_MS);
    } else {
      this.#kick = new PeerEvent(descriptor, 'receives');
      this.#kick.watch((count) => {
        this.kicks++;
        listener(count);
      });
    }
    this.isStarted = this.isUnseen = true;
  }

  /** Stops the ring: the descriptor for notifications of the driver is closed. */
  stop(): void {
    this.#endKicks();
    this.isStarted = this.isUnseen = this.#hasCalled = false;
  }

  /**
   * Takes over the descriptor to notify the driver with; `undefined`: the driver polls. A driver that was notified by
   * the one before is notified again: this message waited in the socket while the driver's kick overtook it, and the
   * front-end reads the one before no more (QEMU starts each ring with a descriptor that it replaces). Throws
   * {@link HostError}.
   */
  callWith(descriptor: number | undefined): void {
    this.#call?.dispose();
    this.#call = undefined;
    if (descriptor === undefined) return;
    this.#call = new PeerEvent(descriptor, 'sends');
    if (this.#hasCalled) this.call();
  }

  /** Takes over the descriptor for errors. Throws {@link HostError}. */
  reportWith(descriptor: number | undefined): void {
    this.#error?.dispose();
    this.#error = undefined;
    if (descriptor !== undefined) this.#error = new PeerEvent(descriptor, 'sends');
  }

  /** Notifies the driver. Hot. */
  call(): void {
    this.#hasCalled = true;
    if (this.#call === undefined) return;
    this.calls++;
    this.#call.signal();
  }

  /** Tells the front-end that the ring is broken. */
  report(): void {
    this.#error?.signal();
  }

  dispose(): void {
    this.stop();
    this.callWith(undefined);
    this.reportWith(undefined);
  }

  #endKicks(): void {
    clearInterval(this.#poll);
    this.#poll = undefined;
    this.#kick?.dispose();
    this.#kick = undefined;
  }
}
