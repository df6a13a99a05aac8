import type { NetEvent } from './net-settings.ts';

/** What events of a schedule do. */
export interface EventTarget {
  announce(): void;
  setLink(isUp: boolean): void;
}

/** The events of a device half, each after a number of frames. */
export class DeviceEventSchedule {
  readonly #events: readonly NetEvent[];
  readonly #target: EventTarget;
  #frames = 0;
  #next = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(events: readonly NetEvent[], target: EventTarget) {
    this.#events = events.toSorted((one, other) => one.after - other.after);
    this.#target = target;
  }

  /** Whether an event ends by itself. */
  get usesTimers(): boolean {
    return this.#events.some((event) => event.do === 'link-down');
  }

  get isLinkUp(): boolean {
    return this.#timer === undefined;
  }

  /** Begins from the start, with no frame and the link up. */
  start(): void {
    this.stop();
    this.#frames = this.#next = 0;
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Counts a frame, and makes happen what comes after it. Hot. */
  count(): void {
    this.#frames++;
    while (this.#next < this.#events.length && this.#events[this.#next]!.after <= this.#frames)
      this.#begin(this.#events[this.#next++]!);
  }

  #begin(event: NetEvent): void {
    if (event.do === 'announce') return this.#target.announce();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#target.setLink(true);
    }, event.milliseconds);
    this.#target.setLink(false);
  }
}
