import type { TraceEvent } from './trace-event.ts';

/** An event of another program. */
interface ExternalEvent {
  /** Microseconds, as of a `TraceEvent`. */
  readonly time: number;
  readonly text: string;
}

/** The last events of another program, such as the machine that has the device. Cold. */
export class ExternalEvents {
  readonly #capacity: number;
  #events: ExternalEvent[] = [];
  #dropped = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** Events so far. */
  get count(): number {
    return this.#dropped + this.#events.length;
  }

  /** Takes an event that happened at `time`. */
  add(time: number, text: string): void {
    this.#events.push({ time, text });
    if (this.#events.length < 2 * this.#capacity) return;
    this.#dropped += this.#events.length - this.#capacity;
    this.#events = this.#events.slice(-this.#capacity);
  }

  /**
   * The events of a recorder with these in their places, by time, and numbered again. Events from before `since` are
   * left out.
   */
  mergedWith(own: readonly TraceEvent[], since: number): TraceEvent[] {
    const others = this.#events.slice(-this.#capacity).map(externalEvent);
    const merged = [...own, ...others.filter(({ time }) => time >= since)].toSorted((a, b) => a.time - b.time);
    const last = this.count + (own.length === 0 ? 0 : own.at(-1)!.index + 1);
    return merged.map((event, at) => ({ ...event, index: last - merged.length + at }));
  }
}

function externalEvent({ time, text }: ExternalEvent): TraceEvent {
  const none = { queue: -1, id: 0, address: null, deviceAddress: 0n, length: 0, extra: 0 };
  return { ...none, index: 0, time, kind: 'external', text };
}
