import type { BufferMapping, DriverQueue } from '@virtio-platform/core';
import type { GuestMemory } from '@virtio-platform/core/memory';
import type { ByteOrder, Virtqueue } from '@virtio-platform/core/queue';
import { BufferSlots } from '@virtio-platform/device-kit';
import { SCSI_EVENT_SIZE, VIRTIO_SCSI_T_EVENTS_MISSED } from '../layout.ts';
import { NO_UNIT, readLun } from '../scsi-lun.ts';

/** Buffers for events: as many as Linux has. */
const EVENT_BUFFERS = 8;

/** An event of a SCSI host (specification 1.4 section 5.6.6.3). */
export interface ScsiEvent {
  /** Without the flag for lost events; `undefined` for a buffer that came back with less than an event. */
  readonly event: number | undefined;
  /** The unit, as `unitKey` makes it; `NO_UNIT` where the event is about none. */
  readonly unit: number;
  readonly reason: number;
  /** Whether the device lost events before this one: what it has is to be looked at again. */
  readonly hasMissed: boolean;
}

/** The event queue of a driver half, which is kept full of buffers. */
export class EventLane {
  readonly #memory: GuestMemory;
  readonly #littleEndian: boolean;
  readonly #slots: BufferSlots;

  /** `bytes` is `event_info_size`. Throws {@link DmaError} when there is no memory; then nothing stays allocated. */
  constructor(
    memory: GuestMemory,
    { queue, mapping }: DriverQueue,
    bytes: number,
    buffers: BufferMapping,
    byteOrder: ByteOrder,
  ) {
    this.#memory = memory;
    this.#littleEndian = byteOrder === 'little';
    const count = Math.min(EVENT_BUFFERS, queue.size);
    this.#slots = new BufferSlots(memory, queue, mapping, { count, readable: 0, writable: bytes, buffers });
  }

  get queue(): Virtqueue {
    return this.#slots.queue;
  }

  /** Gives the device all free buffers that can be mapped. Returns 0, or the reason why one could not be. Hot. */
  fill(): number {
    for (let slot = this.#slots.take(); slot >= 0; slot = this.#slots.take()) {
      const reason = this.#slots.submit(slot, 0);
      if (reason >= 0) continue;
      this.#slots.give(slot);
      return reason;
    }
    return 0;
  }

  /** Takes the events that came; mostly none, and then nothing is allocated. */
  poll(): readonly ScsiEvent[] {
    const came = this.#slots.poll();
    if (came === 0) return NO_EVENTS;
    const events: ScsiEvent[] = [];
    for (let i = 0; i < came; i++) {
      const slot = this.#slots.completedSlots[i]!;
      events.push(this.#read(this.#slots.writableAddress(slot), this.#slots.completedLengths[i]!));
      this.#slots.give(slot);
    }
    return events;
  }

  /** Takes back the buffers that a reset of the queue returned, by their ids. */
  recover(ids: readonly number[]): void {
    for (const slot of this.#slots.recover(ids)) this.#slots.give(slot);
  }

  dispose(): void {
    this.#slots.dispose();
  }

  #read(at: number, written: number): ScsiEvent {
    if (written < SCSI_EVENT_SIZE) return { event: undefined, unit: NO_UNIT, reason: 0, hasMissed: false };
    const word = this.#memory.view.getUint32(at, this.#littleEndian);
    return {
      event: (word & ~VIRTIO_SCSI_T_EVENTS_MISSED) >>> 0,
      unit: readLun(this.#memory.u8, at + 4),
      reason: this.#memory.view.getUint32(at + 12, this.#littleEndian),
      hasMissed: word >= VIRTIO_SCSI_T_EVENTS_MISSED,
    };
  }
}

const NO_EVENTS: readonly ScsiEvent[] = [];
