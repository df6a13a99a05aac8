import type { DeviceQueueJournal } from '@virtio-platform/core/queue';
import type { RingLog } from '../log/ring-log.ts';

/** Passes on what a queue takes and returns: to the record of what is in flight, and to the log of dirty pages. */
export class QueueJournal implements DeviceQueueJournal {
  readonly #record: DeviceQueueJournal | undefined;
  readonly #log: RingLog | undefined;

  constructor(record: DeviceQueueJournal | undefined, log: RingLog | undefined) {
    this.#record = record;
    this.#log = log;
  }

  descriptor(low: number, high: number, length: number, flags: number, id: number): void {
    this.#record?.descriptor(low, high, length, flags, id);
  }

  taken(id: number): void {
    this.#record?.taken(id);
  }

  returned(id: number): void {
    this.#record?.returned(id);
  }

  publishing(position: number): void {
    this.#record?.publishing(position);
  }

  published(position: number): void {
    this.#record?.published(position);
    this.#log?.published(position);
  }

  /** The queue said to its driver whether it wants to be notified. */
  asked(): void {
    this.#log?.asked();
  }
}
