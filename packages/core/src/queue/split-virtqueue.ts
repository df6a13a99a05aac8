import type { DmaMapping, DmaStatistics } from '../dma/dma-mapping.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';
import type { BrokenCode, BrokenReason } from './broken-reason.ts';
import type { ByteOrder } from './byte-order.ts';
import { openDescriptorTable, type DescriptorTable } from './descriptor-table.ts';
import { needsNotification, VIRTQ_AVAIL_F_NO_INTERRUPT, VIRTQ_USED_F_NO_NOTIFY } from './notification.ts';
import { openSplitRing } from './open-split-ring.ts';
import { IN_TABLE, OutstandingBuffers } from './outstanding-buffers.ts';
import { RingMemory } from './ring-memory.ts';
import type { ScatterList } from './scatter-list.ts';
import {
  DESCRIPTOR_SIZE,
  LEGACY_QUEUE_ALIGN,
  splitLayout,
  VIRTQ_DESC_F_INDIRECT,
  VIRTQ_DESC_F_NEXT,
  VIRTQ_DESC_F_WRITE,
} from './split-layout.ts';
import type { SplitRing } from './split-ring.ts';
import type { UsedBatch } from './used-batch.ts';
import {
  acceptedLength,
  QUEUE_BROKEN,
  type QueueAddresses,
  type UsedLengthPolicy,
  type Virtqueue,
} from './virtqueue.ts';
import type { RestoredVirtqueue, VirtqueueState } from './virtqueue-state.ts';

export interface SplitVirtqueueOptions {
  readonly index: number;
  /** Entries: a power of two, 1 to 32768. */
  readonly size: number;
  readonly eventIdx: boolean;
  /** IN_ORDER was negotiated: buffers come back in the order in which they were added, several by one used element. */
  readonly inOrder?: boolean;
  /** The barrier to use where ORDER_PLATFORM was negotiated: `DmaMapping.barrier` of the driver's end. */
  readonly barrier?: (() => void) | undefined;
  /** Entries of each indirect table, or 0 when INDIRECT_DESC was not negotiated. */
  readonly indirect: number;
  /** The contiguous layout of the legacy interface, used ring aligned to 4096. */
  readonly legacyLayout: boolean;
  readonly byteOrder: ByteOrder;
  readonly usedLength: UsedLengthPolicy;
  /** See {@link Transport.unmarkedLengths}; a split ring has no such mark. */
  readonly unmarkedLengths?: boolean | undefined;
}

/**
 * The driver's end of a split virtqueue (specification 1.4 section 2.7).
 *
 * Everything the driver wrote is kept in {@link OutstandingBuffers} and never read back: the device can write every byte of the
 * shared rings. Every field of the device is read once and checked against them.
 */
export class SplitVirtqueue implements Virtqueue {
  readonly index: number;
  readonly #guest: GuestMemory;
  readonly #mapping: DmaMapping;
  readonly #options: SplitVirtqueueOptions;
  readonly #eventIdx: boolean;
  readonly #inOrder: boolean;
  readonly #usedLength: UsedLengthPolicy;
  /** What depends on the size. */
  #size!: number;
  #memory!: RingMemory;
  #ring!: SplitRing;
  #descriptors!: DescriptorTable;
  #tables: DescriptorTable | undefined;
  #tableEntries!: number;
  #buffers!: OutstandingBuffers;

  /** These two run free in 32 bits, so that an old buffer is told from one not shown yet; the ring holds their low 16. */
  #publishedIdx = 0;
  #lastUsedIdx = 0;
  /** With IN_ORDER: the last buffer of the used element being taken, and how much was written to it; -1 between elements. */
  #batchEnd = -1;
  #batchLength = 0;
  #broken: BrokenReason | undefined;

  /**
   * Allocates the ring through `mapping`, which stays the caller's. Throws {@link DmaError} when there is no memory for it.
   * `restored` is a queue that was saved, and its ring, which this one takes over.
   */
  constructor(memory: GuestMemory, mapping: DmaMapping, options: SplitVirtqueueOptions, restored?: RestoredVirtqueue) {
    this.index = options.index;
    this.#guest = memory;
    this.#mapping = mapping;
    this.#options = options;
    this.#eventIdx = options.eventIdx;
    this.#inOrder = options.inOrder ?? false;
    this.#usedLength = options.usedLength;
    this.#open(restored?.state.size ?? options.size, restored?.ring);
    if (restored === undefined) return;
    const { state } = restored;
    this.#buffers.restore(state);
    this.#publishedIdx = this.#buffers.added;
    this.#lastUsedIdx = (this.#buffers.added - this.#buffers.count) & 0xffff;
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
    return this.#publishedIdx & 0xffff;
  }

  add(list: ScatterList): number {
    if (this.#broken !== undefined) return QUEUE_BROKEN;
    const place = this.#buffers.place(list);
    if (place < 0) return place;
    const useTable = place === IN_TABLE;
    const slot = this.#buffers.added & (this.#size - 1);
    const failure = useTable ? this.#describeInTable(list) : this.#describe(list);
    if (failure < 0) return failure;
    const head = this.#buffers.add(list, useTable);
    this.#ring.writeAvailEntry(slot, head);
    return head;
  }

  publish(): boolean {
    const previous = this.#publishedIdx;
    const current = this.#buffers.added;
    if (current === previous || this.#broken !== undefined) return false;
    this.#ring.publishAvailIdx(current & 0xffff);
    this.#publishedIdx = current;
    if (this.#eventIdx) return needsNotification(this.#ring.availEvent(), current, previous);
    return (this.#ring.usedFlags() & VIRTQ_USED_F_NO_NOTIFY) === 0;
  }

  takeUsed(batch: UsedBatch): number {
    batch.count = 0;
    if (this.#broken !== undefined) return 0;
    const usedIdx = this.#ring.usedIdx();
    const arrived = (usedIdx - this.#lastUsedIdx) & 0xffff;
    if (arrived > this.#published()) {
      this.#break(
        'used-index-out-of-range',
        `used.idx ${usedIdx} after ${this.#lastUsedIdx}, ${this.#published()} outstanding`,
      );
      return 0;
    }
    const take = arrived < batch.capacity ? arrived : batch.capacity;
    for (let i = 0; i < take; i++) {
      const slot = this.#lastUsedIdx & (this.#size - 1);
      const isTaken = this.#inOrder
        ? this.#completeInOrder(slot, arrived - i, batch)
        : this.#complete(this.#ring.usedId(slot), this.#ring.usedLength(slot), batch);
      if (!isTaken) break;
      this.#lastUsedIdx = (this.#lastUsedIdx + 1) & 0xffff;
    }
    return batch.count;
  }

  enableNotifications(): boolean {
    if (this.#eventIdx) this.#ring.writeUsedEvent(this.#lastUsedIdx);
    else this.#ring.writeAvailFlags(0);
    return this.#ring.usedIdx() === this.#lastUsedIdx;
  }

  enableNotificationsDelayed(): boolean {
    if (!this.#eventIdx) return this.enableNotifications();
    const most = Math.floor((this.#published() * 3) / 4);
    this.#ring.writeUsedEvent((this.#lastUsedIdx + most) & 0xffff);
    return ((this.#ring.usedIdx() - this.#lastUsedIdx) & 0xffff) <= most;
  }

  /** With EVENT_IDX the flag must stay 0 (section 2.7.7.1); an event index just passed asks for nothing for 65535 buffers. */
  disableNotifications(): void {
    if (this.#eventIdx) this.#ring.writeUsedEvent((this.#lastUsedIdx - 1) & 0xffff);
    else this.#ring.writeAvailFlags(VIRTQ_AVAIL_F_NO_INTERRUPT);
  }

  markBroken(reason: BrokenReason): void {
    this.#broken ??= reason;
  }

  reset(): number[] {
    const returned = this.#buffers.removeAll();
    this.#clearRing();
    this.#publishedIdx = 0;
    this.#lastUsedIdx = 0;
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
    if (this.#publishedIdx !== this.#buffers.added) throw new TypeError(`queue ${this.index} has unpublished buffers`);
    return {
      layout: 'split',
      size: this.#size,
      tableEntries: this.#tableEntries,
      usedPosition: 0,
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
    const { byteOrder, barrier, legacyLayout } = this.#options;
    const layout = splitLayout(size, legacyLayout ? LEGACY_QUEUE_ALIGN : 4);
    // A chain is no longer than the queue, not even through a table (section 2.7.5.3.1).
    const tableEntries = Math.min(this.#options.indirect, size);
    const { ring, tables } = (this.#memory = memory ?? new RingMemory(this.#mapping, size, layout, tableEntries));
    const driver = ring.address + layout.driverOffset;
    const device = ring.address + layout.deviceOffset;
    this.#size = size;
    this.#tableEntries = tableEntries;
    this.#ring = openSplitRing(byteOrder, this.#guest, driver, device, size, barrier);
    this.#descriptors = openDescriptorTable(byteOrder, this.#guest, ring.address);
    this.#tables = tables && openDescriptorTable(byteOrder, this.#guest, tables.address);
    this.#buffers = new OutstandingBuffers(this.#mapping, size, tableEntries);
  }

  /** Writes a chain into the queue's own table, along the free list. On a failed mapping nothing has changed. */
  #describe(list: ScatterList): number {
    const buffers = this.#buffers;
    const { words } = buffers;
    const count = list.count;
    for (let i = 0, at = buffers.nextHead; i < count; i++) {
      const failure = buffers.map(list, i, at);
      if (failure < 0) {
        buffers.undo(i, false);
        return failure;
      }
      const next = buffers.entryAfter(at);
      const isLast = i === count - 1;
      const flags = (i >= list.readable ? VIRTQ_DESC_F_WRITE : 0) | (isLast ? 0 : VIRTQ_DESC_F_NEXT);
      this.#descriptors.write(at, words[0]!, words[1]!, list.length[i]!, flags, isLast ? 0 : next);
      at = next;
    }
    return 0;
  }

  /** Writes a chain into the head's own indirect table, sequentially, and refers to it by one descriptor. */
  #describeInTable(list: ScatterList): number {
    const buffers = this.#buffers;
    const { words } = buffers;
    const count = list.count;
    const head = buffers.nextHead;
    const first = head * this.#tableEntries;
    for (let i = 0; i < count; i++) {
      const failure = buffers.map(list, i, buffers.tableEntry(head, i));
      if (failure < 0) {
        buffers.undo(i, true);
        return failure;
      }
      const isLast = i === count - 1;
      const flags = (i >= list.readable ? VIRTQ_DESC_F_WRITE : 0) | (isLast ? 0 : VIRTQ_DESC_F_NEXT);
      this.#tables!.write(first + i, words[0]!, words[1]!, list.length[i]!, flags, isLast ? 0 : i + 1);
    }
    this.#memory.tables!.writeDeviceAddress(first * DESCRIPTOR_SIZE, words, 0);
    this.#descriptors.write(head, words[0]!, words[1]!, count * DESCRIPTOR_SIZE, VIRTQ_DESC_F_INDIRECT, 0);
    return 0;
  }

  /** Buffers the device may return: those published, not those only added. */
  #published(): number {
    return this.#buffers.count - ((this.#buffers.added - this.#publishedIdx) | 0);
  }

  #complete(id: number, length: number, batch: UsedBatch): boolean {
    if (id >= this.#size) return this.#break('used-id-out-of-range', `used id ${id} in a queue of ${this.#size}`);
    if (!this.#buffers.isOutstanding(id, this.#publishedIdx)) {
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
    this.#buffers.remove(id, written);
    batch.ids[batch.count] = id;
    batch.written[batch.count] = written;
    batch.count++;
    return true;
  }

  /**
   * Takes the oldest buffer. A used element stands for every buffer up to the one it names; those before it count as completely
   * used (section 2.7.9). `left` is how many buffers the device says have arrived.
   */
  #completeInOrder(slot: number, left: number, batch: UsedBatch): boolean {
    if (this.#batchEnd < 0) {
      const id = this.#ring.usedId(slot);
      this.#batchLength = this.#ring.usedLength(slot);
      if (id >= this.#size || !this.#buffers.isOutstanding(id, this.#publishedIdx)) {
        return this.#break('used-id-not-outstanding', `used id ${id} is not outstanding`);
      }
      this.#batchEnd = id;
    }
    const head = this.#buffers.oldestHead;
    if (head === this.#batchEnd) {
      this.#batchEnd = -1;
      return this.#complete(head, this.#batchLength, batch);
    }
    if (left === 1) return this.#break('used-index-out-of-range', `used.idx ends before buffer ${this.#batchEnd}`);
    return this.#complete(head, this.#buffers.writableOf(head), batch);
  }

  #clearRing(): void {
    this.#ring.publishAvailIdx(0);
    this.#ring.publishUsedIdx(0);
    this.#ring.writeAvailFlags(0);
    this.#ring.writeUsedFlags(0);
    if (!this.#eventIdx) return;
    this.#ring.writeUsedEvent(0);
    this.#ring.writeAvailEvent(0);
  }

  #break(code: BrokenCode, detail: string): false {
    this.#broken = { code, detail: `queue ${this.index}: ${detail}` };
    return false;
  }
}
