import type { RunEvent } from './run-events.ts';

/**
 * The events of one run, for any number of readers, each of which reads all of them from the first on. Of the progress
 * a late or slow reader gets the last only, so that the log is as short as what happened.
 */
export class EventLog {
  #events: RunEvent[] = [];
  readonly #readers = new Set<(event: RunEvent) => void>();
  #isClosed = false;
  #failure: { readonly error: unknown } | undefined;
  #wake: () => void = () => {};
  #woken: Promise<void> = this.#sleep();

  /** Adds an event. */
  add(event: RunEvent): void {
    this.#events = append(this.#events, event);
    for (const give of this.#readers) give(event);
    this.#wakeReaders();
  }

  /** Nothing more happens: readers end, and throw the error of a run that has one. */
  close(failure?: { readonly error: unknown }): void {
    this.#isClosed = true;
    this.#failure = failure;
    this.#wakeReaders();
  }

  /** Reads from the first event on, and waits for the next one until the log is closed. */
  async *read(): AsyncGenerator<RunEvent, void, void> {
    let unread: RunEvent[] = [...this.#events];
    const give = (event: RunEvent): void => {
      unread = append(unread, event);
    };
    this.#readers.add(give);
    try {
      for (;;) {
        const event = unread.shift();
        if (event !== undefined) yield event;
        else if (this.#isClosed) break;
        else await this.#woken;
      }
    } finally {
      this.#readers.delete(give);
    }
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  #wakeReaders(): void {
    this.#wake();
    this.#woken = this.#sleep();
  }

  #sleep(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

/** The events with one more, which takes the place of an earlier progress. */
function append(events: RunEvent[], event: RunEvent): RunEvent[] {
  const kept = event.type === 'progress' ? events.filter(({ type }) => type !== 'progress') : events;
  kept.push(event);
  return kept;
}
