import type { SimulatedDevice } from './simulated-device.ts';

/** Tells a driver in this thread of its device, from the event loop: see `Transport.watch`. */
export class DriverListener {
  readonly #device: SimulatedDevice;
  #listener: (() => void) | undefined;
  /** Whether the listener is about to be called. */
  #isTelling = false;

  constructor(device: SimulatedDevice) {
    this.#device = device;
  }

  /** Whether the driver waits for notifications. */
  get isWatched(): boolean {
    return this.#listener !== undefined;
  }

  watch(listener: () => void): void {
    this.#listener = listener;
    this.tell();
  }

  /** The device may have notified, or be gone: has the listener called once the call that led to it returned. */
  tell(): void {
    const { hasNotification, isLost } = this.#device;
    if (this.#listener === undefined || this.#isTelling || (!hasNotification && !isLost)) return;
    this.#isTelling = true;
    queueMicrotask(() => {
      this.#isTelling = false;
      this.#listener?.();
    });
  }

  end(): void {
    this.#listener = undefined;
  }
}
