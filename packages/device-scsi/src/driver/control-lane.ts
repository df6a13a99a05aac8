import type { BufferMapping, DriverQueue } from '@virtio-platform/core';
import type { GuestMemory } from '@virtio-platform/core/memory';
import type { ByteOrder, Virtqueue } from '@virtio-platform/core/queue';
import { BufferSlots, NO_BUFFER } from '@virtio-platform/device-kit';
import { SCSI_AN_ANSWER_SIZE, SCSI_AN_SIZE, SCSI_TMF_SIZE, VIRTIO_SCSI_T_TMF } from '../layout.ts';
import { nameOfUnit, unitKey, writeLun } from '../scsi-lun.ts';
import { NO_RESPONSE } from './command-lane.ts';
import { nameOfControl } from './name-of-request.ts';

/** Control requests in flight at once, at most. */
const MOST_CONTROLS = 4;

/** The control queue of a driver half (specification 1.4 section 5.6.6.2): task management, and notifications. */
export class ControlLane {
  /** By slot: what the device answered; {@link NO_RESPONSE} where it answered nothing. */
  readonly response: Uint8Array;
  /** By slot, of a notification request: `event_actual`. */
  readonly actual: Uint32Array;
  readonly #memory: GuestMemory;
  readonly #littleEndian: boolean;
  readonly #slots: BufferSlots;
  readonly #answerSize: Uint8Array;
  /** By slot: the request in words. */
  readonly #names: string[] = [];

  /** Throws {@link DmaError} when there is no memory; then nothing stays allocated. */
  constructor(memory: GuestMemory, { queue, mapping }: DriverQueue, buffers: BufferMapping, byteOrder: ByteOrder) {
    this.#memory = memory;
    this.#littleEndian = byteOrder === 'little';
    const count = Math.min(MOST_CONTROLS, queue.size);
    const sizes = { readable: SCSI_TMF_SIZE, writable: SCSI_AN_ANSWER_SIZE };
    this.#slots = new BufferSlots(memory, queue, mapping, { count, ...sizes, buffers, wipes: true });
    this.response = new Uint8Array(count);
    this.actual = new Uint32Array(count);
    this.#answerSize = new Uint8Array(count);
  }

  get queue(): Virtqueue {
    return this.#slots.queue;
  }

  /** Slots of the last `poll`. */
  get completedSlots(): Uint16Array {
    return this.#slots.completedSlots;
  }

  /**
   * Adds a task management function. The id of the command has two words, 0 where the function has none. Returns its
   * slot, or a negative reason.
   */
  manage(subtype: number, target: number, lun: number, low: number, high: number): number {
    const slot = this.#slots.take();
    if (slot < 0) return NO_BUFFER;
    const at = this.#begin(slot, VIRTIO_SCSI_T_TMF);
    this.#names[slot] = `${nameOfControl(VIRTIO_SCSI_T_TMF, subtype)} of ${nameOfUnit(unitKey(target, lun))}`;
    const { u8, view } = this.#memory;
    view.setUint32(at + 4, subtype, this.#littleEndian);
    writeLun(u8, at + 8, target, lun);
    view.setUint32(at + (this.#littleEndian ? 16 : 20), low, this.#littleEndian);
    view.setUint32(at + (this.#littleEndian ? 20 : 16), high, this.#littleEndian);
    return this.#submit(slot, SCSI_TMF_SIZE, 1);
  }

  /** Adds a notification request, a query or a subscription. Returns its slot, or a negative reason. */
  notify(type: number, target: number, lun: number, requested: number): number {
    const slot = this.#slots.take();
    if (slot < 0) return NO_BUFFER;
    const at = this.#begin(slot, type);
    this.#names[slot] = `${nameOfControl(type, 0)} of ${nameOfUnit(unitKey(target, lun))}`;
    writeLun(this.#memory.u8, at + 4, target, lun);
    this.#memory.view.setUint32(at + 12, requested, this.#littleEndian);
    return this.#submit(slot, SCSI_AN_SIZE, SCSI_AN_ANSWER_SIZE);
  }

  /** Takes back requests and returns how many; their slots are in `completedSlots` until they are given back. */
  poll(): number {
    const came = this.#slots.poll();
    for (let i = 0; i < came; i++) {
      const slot = this.#slots.completedSlots[i]!;
      const size = this.#answerSize[slot]!;
      const at = this.#slots.writableAddress(slot);
      const isAnswered = this.#slots.completedLengths[i]! >= size;
      this.response[slot] = isAnswered ? this.#memory.u8[at + size - 1]! : NO_RESPONSE;
      this.actual[slot] = isAnswered && size > 1 ? this.#memory.view.getUint32(at, this.#littleEndian) : 0;
    }
    return came;
  }

  /** Gives back a slot that was completed, or that a queue reset returned. */
  give(slot: number): void {
    this.#slots.give(slot);
  }

  /** The slots of requests that a reset of the queue took back, by the ids that it returned. */
  recover(ids: readonly number[]): number[] {
    return this.#slots.recover(ids);
  }

  /** What the buffer with this id asks for while the device has it: `LOGICAL UNIT RESET of target 0, unit 1`. */
  describeBuffer(id: number): string | undefined {
    return this.#names[this.#slots.slotOf(id)];
  }

  dispose(): void {
    this.#slots.dispose();
  }

  #begin(slot: number, type: number): number {
    const at = this.#slots.readableAddress(slot);
    this.#memory.u8.fill(0, at, at + SCSI_TMF_SIZE);
    this.#memory.view.setUint32(at, type, this.#littleEndian);
    return at;
  }

  #submit(slot: number, bytes: number, room: number): number {
    this.#answerSize[slot] = room;
    const reason = this.#slots.submit(slot, bytes, room);
    if (reason < 0) this.#slots.give(slot);
    return reason < 0 ? reason : slot;
  }
}
