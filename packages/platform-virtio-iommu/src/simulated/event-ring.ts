import { EVENT_PLACES, EVENT_WORDS, EVENTS_TAKEN, EVENTS_WRITTEN, type IommuState } from './iommu-state.ts';

/** Events between the device's thread, which records, and the driver's, which delivers them. */
export class EventRing {
  readonly #control: Int32Array;
  readonly #events: Int32Array;

  constructor(state: IommuState) {
    this.#control = new Int32Array(state.control);
    this.#events = new Int32Array(state.events);
  }

  /** Records an event, if there is room. In the device's thread. */
  record(reason: number, flags: number, low: number, high: number): void {
    const written = Atomics.load(this.#control, EVENTS_WRITTEN);
    if (((written - Atomics.load(this.#control, EVENTS_TAKEN)) | 0) >= EVENT_PLACES) return;
    const at = (written & (EVENT_PLACES - 1)) * EVENT_WORDS;
    this.#events[at] = reason;
    this.#events[at + 1] = flags;
    this.#events[at + 2] = low;
    this.#events[at + 3] = high;
    Atomics.store(this.#control, EVENTS_WRITTEN, (written + 1) | 0);
  }

  /** Whether {@link take} has an event to take. In the driver's thread. */
  get hasEvent(): boolean {
    return Atomics.load(this.#control, EVENTS_WRITTEN) !== Atomics.load(this.#control, EVENTS_TAKEN);
  }

  /** Takes the oldest event: EVENT_WORDS words. In the driver's thread. */
  take(words: Uint32Array): void {
    const taken = Atomics.load(this.#control, EVENTS_TAKEN);
    const at = (taken & (EVENT_PLACES - 1)) * EVENT_WORDS;
    for (let i = 0; i < EVENT_WORDS; i++) words[i] = this.#events[at + i]!;
    Atomics.store(this.#control, EVENTS_TAKEN, (taken + 1) | 0);
  }

  /** Drops all events. In the driver's thread. */
  clear(): void {
    Atomics.store(this.#control, EVENTS_TAKEN, Atomics.load(this.#control, EVENTS_WRITTEN));
  }
}
