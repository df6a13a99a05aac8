import type { Transport } from '@virtio-platform/core/device';
import type { DmaMapping, DmaRegion } from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { ScatterList, UsedBatch, type Virtqueue } from '@virtio-platform/core/queue';
import { EVENT_ADDRESS, EVENT_BYTES, EVENT_ENDPOINT, EVENT_FLAGS, EVENT_QUEUE } from './request-format.ts';

/** An event as the unit wrote it. */
export interface IommuEvent {
  readonly reason: number;
  readonly flags: number;
  readonly endpoint: number;
  readonly address: bigint;
}

/** The buffers of the event queue, all of which the unit has but while they are read. Cold. */
export class EventBuffers {
  readonly #memory: GuestMemory;
  readonly #queue: Virtqueue;
  readonly #region: DmaRegion;
  readonly #list = new ScatterList(1);
  readonly #used: UsedBatch;
  /** The offset in the region of the buffer with an id. */
  readonly #offsets: Uint32Array;

  /** Gives the unit `count` buffers, at most one for each entry of the queue. */
  constructor(memory: GuestMemory, mapping: DmaMapping, queue: Virtqueue, count: number) {
    this.#memory = memory;
    this.#queue = queue;
    const buffers = Math.min(count, queue.size);
    this.#region = mapping.allocateCoherent(buffers * EVENT_BYTES, 8);
    this.#used = new UsedBatch(buffers);
    this.#offsets = new Uint32Array(queue.size);
    queue.disableNotifications();
    for (let i = 0; i < buffers; i++) this.#give(i * EVENT_BYTES);
    queue.publish();
  }

  /** Takes the events that came, and gives the unit their buffers again: at most as many as there are buffers. */
  take(transport: Transport): IommuEvent[] {
    const [queue, used] = [this.#queue, this.#used];
    const { view } = this.#memory;
    const events: IommuEvent[] = [];
    queue.takeUsed(used);
    for (let i = 0; i < used.count; i++) {
      const offset = this.#offsets[used.ids[i]!]!;
      const at = this.#region.address + offset;
      // A unit that wrote less wrote no event.
      if (used.written[i]! >= EVENT_BYTES)
        events.push({
          reason: view.getUint8(at),
          flags: view.getUint32(at + EVENT_FLAGS, true),
          endpoint: view.getUint32(at + EVENT_ENDPOINT, true),
          address: view.getBigUint64(at + EVENT_ADDRESS, true),
        });
      this.#give(offset);
    }
    if (used.count > 0 && queue.publish()) transport.notify(EVENT_QUEUE, queue.nextAvailable);
    return events;
  }

  /** Only after the unit confirmed a reset, and the queue was reset. */
  dispose(): void {
    this.#region.release();
  }

  #give(offset: number): void {
    const at = this.#region.address + offset;
    this.#memory.u8.fill(0, at, at + EVENT_BYTES);
    this.#list.clear();
    this.#list.addWritableRegion(this.#region, offset, EVENT_BYTES);
    const id = this.#queue.add(this.#list);
    if (id >= 0) this.#offsets[id] = offset;
  }
}
