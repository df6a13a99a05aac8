import type { DmaMapping, DmaStatistics } from '../dma/dma-mapping.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';
import type { BrokenCode, BrokenReason } from './broken-reason.ts';
import { openDescriptorTable, type DescriptorTable } from './descriptor-table.ts';
import { packedNeedsNotification } from './notification.ts';
import { IN_TABLE, OutstandingBuffers } from './outstanding-buffers.ts';
import {
  advance,
  availableFlags,
  FIRST_POSITION,
  isUsed,
  packedLayout,
  RING_EVENT_FLAGS_DESC,
  RING_EVENT_FLAGS_DISABLE,
  RING_EVENT_FLAGS_ENABLE,
  slotOf,
} from './packed-layout.ts';
import { openPackedRing } from './open-packed-ring.ts';
import type { PackedRing } from './packed-ring.ts';
import { RingMemory } from './ring-memory.ts';
import type { ScatterList } from './scatter-list.ts';
import { DESCRIPTOR_SIZE, VIRTQ_DESC_F_INDIRECT, VIRTQ_DESC_F_NEXT, VIRTQ_DESC_F_WRITE } from './split-layout.ts';
import type { UsedBatch } from './used-batch.ts';
import {
  acceptedLength,
  QUEUE_BROKEN,
  type QueueAddresses,
  type UsedLengthPolicy,
  type Virtqueue,
} from './virtqueue.ts';
import type { RestoredVirtqueue, VirtqueueState } from './virtqueue-state.ts';

export interface PackedVirtqueueOptions {
  readonly index: number;
  /** Entries: 1 to 32768. */
  readonly size: number;
  readonly eventIdx: boolean;
  /** IN_ORDER was negotiated: buffers come back in the order in which they were added, several by one used descriptor. */
  readonly inOrder?: boolean;
  /** The barrier to use where ORDER_PLATFORM was negotiated: `DmaMapping.barrier` of the driver's end. */
  readonly barrier?: (() => void) | undefined;
  /** Entries of each indirect table, or 0 when INDIRECT_DESC was not negotiated. */
  readonly indirect: number;
  readonly usedLength: UsedLengthPolicy;
  /**
   * The device gives the length of a used packed descriptor without WRITE: QEMU never sets it there, and Linux does not look. Not
   * unless given.
   */
  readonly unmarkedLengths?: boolean | undefined;
}

/**
 * The driver's end of a packed virtqueue (specification 1.4 section 2.8).
 *
 * A slot of the ring is the driver's or the device's, and which is only told by its flags, so what was given away is kept in
 * {@link OutstandingBuffers}: how many slots a used buffer frees is never read from the ring. The flags of the first buffer
 * added since the last `publish` are written last: the device stops there until then, however many buffers follow.
 */
export class PackedVirtqueue implements Virtqueue {
  readonly index: number;
  readonly #guest: GuestMemory;
  readonly #mapping: DmaMapping;
  readonly #options: PackedVirtqueueOptions;
  readonly #eventIdx: boolean;
  readonly #inOrder: boolean;
  readonly #usedLength: UsedLengthPolicy;
  readonly #unmarkedLengths: boolean;
  /** What depends on the size. */
  #size!: number;
  #memory!: RingMemory;
  #ring!: PackedRing;
  #tables: DescriptorTable | undefined;
  #tableEntries!: number;
  #buffers!: OutstandingBuffers;

  #availPosition = FIRST_POSITION;
  /** Where {@link #availPosition} was at the last `publish`. */
  #nextAvailable = FIRST_POSITION;
  #usedPosition = FIRST_POSITION;
  /** Slots made ready since the last `publish`, and the flags of the first of them, which are still held back. */
  #readySlots = 0;
  #heldSlot = 0;
  #heldFlags = 0;
  /** Of {@link OutstandingBuffers.added}. */
  #published = 0;
  /** With IN_ORDER: the last buffer of the used descriptor being taken, and how much was written to it; -1 between them. */
  #batchEnd = -1;
  #batchLength = 0;
  #broken: BrokenReason | undefined;

  /**
   * Allocates the ring through `mapping`, which stays the caller's. Throws {@link DmaError} when there is no memory for it.
   * `restored` is a queue that was saved, and its ring, which this one takes over.
   */
  constructor(memory: GuestMemory, mapping: DmaMapping, options: PackedVirtqueueOptions, restored?: RestoredVirtqueue) {
    this.index = options.index;
    this.#guest = memory;
    this.#mapping = mapping;
    this.#options = options;
    this.#eventIdx = options.eventIdx;
    this.#inOrder = options.inOrder ?? false;
    this.#usedLength = options.usedLength;
    this.#unmarkedLengths = options.unmarkedLengths ?? false;
    this.#open(restored?.state.size ?? options.size, restored?.ring);
    if (restored === undefined) return;
    const { state } = restored;
    this.#buffers.restore(state);
    this.#published = this.#buffers.added;
    this.#usedPosition = state.usedPosition;
    this.#availPosition = advance(state.usedPosition, this.#size - this.#buffers.free, this.#size);
    this.#nextAvailable = this.#availPosition;
    this.#batchEnd = state.batchEnd;
    this.#batchLength = state.batchLength;
  }

  get size(): number {
    return this.#size;
  }

  get addresses(): QueueAddresses {
    return this.#memory.addresses;
  }

  get memory(): RingMemory {
    return this.#memory;
  }

  get outstanding(): number {
    return this.#buffers.count;
  }

  get broken(): BrokenReason | undefined {
    return this.#broken;
  }

  get dma(): DmaStatistics {
    return this.#mapping.statistics;
  }

  get nextAvailable(): number {
    return this.#nextAvailable;
  }

  add(list: ScatterList): number {
    if (this.#broken !== undefined) return QUEUE_BROKEN;
    const place = this.#buffers.place(list);
    if (place < 0) return place;
    const useTable = place === IN_TABLE;
    const failure = useTable ? this.#describeInTable(list) : this.#describe(list);
    if (failure < 0) return failure;
    this.#makeReady(list, useTable);
    return this.#buffers.add(list, useTable);
  }

  publish(): boolean {
    const moved = this.#readySlots;
    if (moved === 0 || this.#broken !== undefined) return false;
    this.#ring.publishFlags(this.#heldSlot, this.#heldFlags);
    this.#readySlots = 0;
    this.#nextAvailable = this.#availPosition;
    this.#published = this.#buffers.added;
    return packedNeedsNotification(this.#ring.deviceEvent(), this.#availPosition, moved, this.#size, this.#eventIdx);
  }

  takeUsed(batch: UsedBatch): number {
    batch.count = 0;
    while (batch.count < batch.capacity && this.#broken === undefined) {
      if (this.#batchEnd >= 0) {
        this.#completeOldest(batch);
        continue;
      }
      const slot = slotOf(this.#usedPosition);
      const flags = this.#ring.flags(slot);
      if (!isUsed(flags, this.#usedPosition)) break;
      // The length means something only where the device says that it wrote (section 2.8.3), and where devices never say so.
      const isMarked = (flags & VIRTQ_DESC_F_WRITE) !== 0 || this.#unmarkedLengths;
      const written = isMarked ? this.#ring.length(slot) : 0;
      if (this.#inOrder) this.#beginBatch(this.#ring.id(slot), written);
      else this.#complete(this.#ring.id(slot), written, batch);
    }
    return batch.count;
  }

  enableNotifications(): boolean {
    if (this.#eventIdx) this.#ring.writeDriverEvent(this.#usedPosition, RING_EVENT_FLAGS_DESC);
    else this.#ring.writeDriverEvent(0, RING_EVENT_FLAGS_ENABLE);
    return this.#batchEnd < 0 && !isUsed(this.#ring.flags(slotOf(this.#usedPosition)), this.#usedPosition);
  }

  /** Looks again where the next used descriptor will be: the slot of the event may lie inside a list and never change. */
  enableNotificationsDelayed(): boolean {
    if (!this.#eventIdx) return this.enableNotifications();
    const published = this.#size - this.#buffers.free - this.#readySlots;
    const position = advance(this.#usedPosition, Math.floor((published * 3) / 4), this.#size);
    this.#ring.writeDriverEvent(position, RING_EVENT_FLAGS_DESC);
    return this.#batchEnd < 0 && !isUsed(this.#ring.flags(slotOf(this.#usedPosition)), this.#usedPosition);
  }

  disableNotifications(): void {
    this.#ring.writeDriverEvent(0, RING_EVENT_FLAGS_DISABLE);
  }

  markBroken(reason: BrokenReason): void {
    this.#broken ??= reason;
  }

  reset(): number[] {
    const returned = this.#buffers.removeAll();
    const { address, length } = this.#memory.ring;
    this.#guest.u8.fill(0, address, address + length);
    this.#availPosition = FIRST_POSITION;
    this.#nextAvailable = FIRST_POSITION;
    this.#usedPosition = FIRST_POSITION;
    this.#readySlots = 0;
    this.#published = 0;
    this.#batchEnd = -1;
    this.#broken = undefined;
    return returned;
  }

  resize(size: number): void {
    if (this.outstanding > 0) throw new TypeError(`queue ${this.index} has buffers outstanding: reset it first`);
    const before = this.#memory;
    this.#open(size);
    before.release();
  }

  save(): VirtqueueState {
    if (this.#broken !== undefined) throw new TypeError(`queue ${this.index} is broken`);
    if (this.#readySlots > 0) throw new TypeError(`queue ${this.index} has unpublished buffers`);
    return {
      layout: 'packed',
      size: this.#size,
      tableEntries: this.#tableEntries,
      usedPosition: this.#usedPosition,
      batchEnd: this.#batchEnd,
      batchLength: this.#batchLength,
      ...this.#buffers.save(),
    };
  }

  dispose(): void {
    this.reset();
    this.#memory.release();
  }

  /** Makes everything that depends on the size, or nothing. */
  #open(size: number, memory?: RingMemory): void {
    const layout = packedLayout(size);
    const tableEntries = Math.min(this.#options.indirect, size);
    const { ring, tables } = (this.#memory = memory ?? new RingMemory(this.#mapping, size, layout, tableEntries));
    const driver = ring.address + layout.driverOffset;
    const device = ring.address + layout.deviceOffset;
    this.#size = size;
    this.#tableEntries = tableEntries;
    this.#ring = openPackedRing(this.#guest, ring.address, driver, device, this.#options.barrier);
    this.#tables = tables && openDescriptorTable('little', this.#guest, tables.address);
    this.#buffers = new OutstandingBuffers(this.#mapping, size, tableEntries);
  }

  /** Writes all of a list but its flags, so that on a failed mapping nothing has changed for the device. */
  #describe(list: ScatterList): number {
    const buffers = this.#buffers;
    const { words } = buffers;
    const id = buffers.nextHead;
    for (let i = 0, entry = id, position = this.#availPosition; i < list.count; i++) {
      const failure = buffers.map(list, i, entry);
      if (failure < 0) {
        buffers.undo(i, false);
        return failure;
      }
      this.#ring.writeDescriptor(slotOf(position), words[0]!, words[1]!, list.length[i]!, id);
      entry = buffers.entryAfter(entry);
      position = advance(position, 1, this.#size);
    }
    return 0;
  }

  /** Writes the buffer's own indirect table, in which only WRITE means anything, and one descriptor that refers to it. */
  #describeInTable(list: ScatterList): number {
    const buffers = this.#buffers;
    const { words } = buffers;
    const id = buffers.nextHead;
    const first = id * this.#tableEntries;
    for (let i = 0; i < list.count; i++) {
      const failure = buffers.map(list, i, buffers.tableEntry(id, i));
      if (failure < 0) {
        buffers.undo(i, true);
        return failure;
      }
      // Where a split descriptor has flags and next, a packed one has id and flags (section 2.8.13).
      const flags = i >= list.readable ? VIRTQ_DESC_F_WRITE : 0;
      this.#tables!.write(first + i, words[0]!, words[1]!, list.length[i]!, 0, flags);
    }
    this.#memory.tables!.writeDeviceAddress(first * DESCRIPTOR_SIZE, words, 0);
    const slot = slotOf(this.#availPosition);
    this.#ring.writeDescriptor(slot, words[0]!, words[1]!, list.count * DESCRIPTOR_SIZE, id);
    return 0;
  }

  /** Writes the flags of a list that was described, the first slot's last, and holds those back until `publish` if nothing else does. */
  #makeReady(list: ScatterList, useTable: boolean): void {
    const slots = useTable ? 1 : list.count;
    const first = this.#availPosition;
    let position = advance(first, 1, this.#size);
    for (let i = 1; i < slots; i++) {
      this.#ring.writeFlags(slotOf(position), listFlags(list, i) | availableFlags(position));
      position = advance(position, 1, this.#size);
    }
    const flags = (useTable ? VIRTQ_DESC_F_INDIRECT : listFlags(list, 0)) | availableFlags(first);
    if (this.#readySlots === 0) {
      this.#heldSlot = slotOf(first);
      this.#heldFlags = flags;
    } else this.#ring.writeFlags(slotOf(first), flags);
    this.#availPosition = position;
    this.#readySlots += slots;
  }

  /** A used descriptor stands for every buffer up to the one it names (section 2.8.8). */
  #beginBatch(id: number, written: number): void {
    if (id >= this.#size || !this.#buffers.isOutstanding(id, this.#published)) {
      return this.#break('used-id-not-outstanding', `used id ${id} is not outstanding`);
    }
    this.#batchEnd = id;
    this.#batchLength = written;
  }

  /** Takes the oldest buffer of a batch; those before its last count as completely used. */
  #completeOldest(batch: UsedBatch): void {
    const id = this.#buffers.oldestHead;
    const isLast = id === this.#batchEnd;
    if (isLast) this.#batchEnd = -1;
    this.#complete(id, isLast ? this.#batchLength : this.#buffers.writableOf(id), batch);
  }

  #complete(id: number, length: number, batch: UsedBatch): void {
    if (id >= this.#size) return this.#break('used-id-out-of-range', `used id ${id} in a queue of ${this.#size}`);
    if (!this.#buffers.isOutstanding(id, this.#published)) {
      return this.#break('used-id-not-outstanding', `used id ${id} is not outstanding`);
    }
    const writable = this.#buffers.writableOf(id);
    const written = acceptedLength(this.#usedLength, length, writable);
    if (written < 0) {
      return this.#break(
        'used-length-too-large',
        `${length} bytes written to buffer ${id}, which has room for ${writable}`,
      );
    }
    this.#usedPosition = advance(this.#usedPosition, this.#buffers.entriesOf(id), this.#size);
    this.#buffers.remove(id, written);
    batch.ids[batch.count] = id;
    batch.written[batch.count] = written;
    batch.count++;
  }

  #break(code: BrokenCode, detail: string): void {
    this.#broken = { code, detail: `queue ${this.index}: ${detail}` };
  }
}

/** The flags of segment `i` of a list in the ring itself, without those that make it available. */
function listFlags(list: ScatterList, i: number): number {
  return (i >= list.readable ? VIRTQ_DESC_F_WRITE : 0) | (i === list.count - 1 ? 0 : VIRTQ_DESC_F_NEXT);
}
