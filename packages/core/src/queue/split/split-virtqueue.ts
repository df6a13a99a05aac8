import type { DmaMapping } from '../../dma/dma-mapping.ts';
import type { GuestMemory } from '../../memory/guest-memory.ts';
import { DriverEnd, type RestoredVirtqueue } from '../driver/driver-end.ts';
import { IN_TABLE } from '../driver/outstanding-buffers.ts';
import {
  MOST_USED_ELEMENTS,
  TAKEN_ELEMENTS,
  type BufferInspection,
  type RingInspection,
  type UsedElement,
} from '../driver/ring-inspection.ts';
import { splitDescriptors } from './split-descriptors.ts';
import type { RingMemory } from '../driver/ring-memory.ts';
import type { ScatterList } from '../driver/scatter-list.ts';
import { QUEUE_BROKEN, type UsedBatch, type VirtqueueOptions } from '../driver/virtqueue.ts';
import {
  DESCRIPTOR_SIZE,
  openDescriptorTable,
  VIRTQ_DESC_F_INDIRECT,
  VIRTQ_DESC_F_NEXT,
  VIRTQ_DESC_F_WRITE,
  writeSegment,
  type DescriptorTable,
} from '../ring/descriptor-table.ts';
import { needsNotification } from '../ring/notification.ts';
import { LEGACY_QUEUE_ALIGN, splitLayout, VIRTQ_AVAIL_F_NO_INTERRUPT, VIRTQ_USED_F_NO_NOTIFY } from './split-layout.ts';
import { openSplitRing, type SplitRing } from './split-ring.ts';

// In the loops: an imported constant is looked up, and checked for being there, each time.
const NEXT = VIRTQ_DESC_F_NEXT;
const WRITE = VIRTQ_DESC_F_WRITE;

/**
 * The driver's end of a split virtqueue (specification 1.4 section 2.7).
 *
 * Everything the driver wrote is kept in `OutstandingBuffers` and never read back: the device can write every byte of
 * the shared rings. Every field of the device is read once and checked against them.
 */
export class SplitVirtqueue extends DriverEnd {
  readonly #eventIdx: boolean;
  readonly #inOrder: boolean;
  #ring!: SplitRing;
  #descriptors!: DescriptorTable;
  /** Where {@link #descriptors} begins in 32-bit words of guest memory. */
  #table = 0;
  #tables: DescriptorTable | undefined;
  #lastUsedIdx = 0;

  /**
   * Allocates the ring through `mapping`, which stays the caller's, or takes over a saved queue and its ring. Throws
   * {@link DmaError} when the memory is exhausted and `RangeError` for a size the layout forbids.
   */
  constructor(memory: GuestMemory, mapping: DmaMapping, options: VirtqueueOptions, restored?: RestoredVirtqueue) {
    super('split', memory, mapping, options);
    this.#eventIdx = options.eventIdx;
    this.#inOrder = options.inOrder ?? false;
    this.open(restored?.state.size ?? options.size, restored?.ring);
    if (restored === undefined) return;
    this.buffers.restore(restored.state);
    this.#lastUsedIdx = (this.buffers.added - this.buffers.count) & 0xffff;
  }

  get nextAvailable(): number {
    return this.buffers.published & 0xffff;
  }

  get nextUsed(): number {
    return this.#lastUsedIdx;
  }

  add(list: ScatterList): number {
    if (this.broken !== undefined) return this.refuse(list, QUEUE_BROKEN);
    const buffers = this.buffers;
    const place = buffers.place(list);
    if (place < 0) return this.refuse(list, place);
    const useTable = place === IN_TABLE;
    if (list.mapped > 0) {
      const failure = buffers.map(list, useTable);
      if (failure < 0) return this.refuse(list, failure);
      if (this.toTell === 0) this.toTell = 1;
    }
    const last = useTable ? this.#describeInTable(list) : this.#describe(list);
    const slot = buffers.added & (this.size - 1);
    const head = buffers.add(list, last, useTable);
    this.#ring.writeAvailEntry(slot, head);
    if (this.toTell > 0) this.noteAdded(head, list);
    return head;
  }

  publish(): boolean {
    const previous = this.buffers.published;
    const current = this.buffers.added;
    if (current === previous || this.broken !== undefined) return false;
    this.syncMap();
    this.#ring.publishAvailIdx(current & 0xffff);
    this.buffers.publish();
    return this.countPublication(
      this.#eventIdx
        ? needsNotification(this.#ring.availEvent(), current, previous)
        : (this.#ring.usedFlags() & VIRTQ_USED_F_NO_NOTIFY) === 0,
    );
  }

  takeUsed(batch: UsedBatch): number {
    batch.count = 0;
    if (this.broken !== undefined) return 0;
    const buffers = this.buffers;
    const usedIdx = this.#ring.usedIdx();
    const arrived = (usedIdx - this.#lastUsedIdx) & 0xffff;
    if (arrived > buffers.returnable) {
      const outstanding = `${buffers.returnable} outstanding`;
      this.break('used-index-out-of-range', `used.idx ${usedIdx} after ${this.#lastUsedIdx}, ${outstanding}`);
      return this.countTaken(batch);
    }
    const take = arrived < batch.capacity ? arrived : batch.capacity;
    if (this.#inOrder) this.#takeInOrder(take, arrived, batch);
    else this.#take(take, batch);
    return this.countTaken(batch);
  }

  enableNotifications(): boolean {
    if (this.#eventIdx) this.#ring.writeUsedEvent(this.#lastUsedIdx);
    else this.#ring.writeAvailFlags(0);
    return this.enabled(this.#ring.usedIdx() === this.#lastUsedIdx);
  }

  enableNotificationsDelayed(): boolean {
    if (!this.#eventIdx) return this.enableNotifications();
    const most = Math.floor((this.buffers.returnable * 3) / 4);
    this.#ring.writeUsedEvent((this.#lastUsedIdx + most) & 0xffff);
    return this.enabled(((this.#ring.usedIdx() - this.#lastUsedIdx) & 0xffff) <= most);
  }

  /**
   * With EVENT_IDX the flag must stay 0 (section 2.7.7.1); an event index that was just passed asks for no notification
   * for 65535 buffers.
   */
  disableNotifications(): void {
    if (this.#eventIdx) this.#ring.writeUsedEvent((this.#lastUsedIdx - 1) & 0xffff);
    else this.#ring.writeAvailFlags(VIRTQ_AVAIL_F_NO_INTERRUPT);
  }

  inspect(): RingInspection {
    const ring = this.#ring;
    const used = ring.usedIdx();
    return {
      layout: 'split',
      eventIdx: this.#eventIdx,
      inOrder: this.#inOrder,
      driver: { available: this.nextAvailable, taken: this.#lastUsedIdx },
      driverEvent: { flags: ring.availFlags(), position: ring.usedEvent() },
      used,
      hasUsed: used !== this.#lastUsedIdx,
      usedAstray: undefined,
      deviceEvent: { flags: ring.usedFlags(), position: ring.availEvent() },
      usedElements: this.#usedElements(used),
      outstanding: this.buffers.list(),
    };
  }

  inspectBuffers(): readonly BufferInspection[] {
    const { memory, tableWords } = this;
    return this.buffers.records().map((record) => {
      const { id, isOutstanding, isIndirect, addedAt } = record;
      const first = isIndirect ? this.buffers.firstTableEntry(id) : 0;
      if (isIndirect) memory.tables!.writeDeviceAddress(first * DESCRIPTOR_SIZE, tableWords, 0);
      const descriptors = splitDescriptors(record, this.#descriptors, this.#tables, first, tableWords);
      return { id, isOutstanding, position: addedAt & 0xffff, descriptors };
    });
  }

  protected get usedPosition(): number {
    return 0;
  }

  protected open(size: number, memory?: RingMemory): void {
    const { byteOrder = 'little', legacyLayout = false, wholeUsedElements = false } = this.options;
    const layout = legacyLayout ? splitLayout(size, LEGACY_QUEUE_ALIGN) : splitLayout(size, 4, wholeUsedElements);
    const { ring, tables } = this.openMemory(size, layout, memory);
    const { address } = ring;
    const device = address + layout.deviceOffset;
    this.#ring = openSplitRing(byteOrder, this.guest, address + layout.driverOffset, device, size);
    this.#descriptors = openDescriptorTable(byteOrder, this.guest, address);
    this.#table = address / 4;
    this.#tables = tables && openDescriptorTable(byteOrder, this.guest, tables.address);
  }

  protected clearRing(): void {
    this.#ring.publishAvailIdx(0);
    this.#ring.publishUsedIdx(0);
    this.#ring.writeAvailFlags(0);
    this.#ring.writeUsedFlags(0);
    this.#lastUsedIdx = 0;
    if (!this.#eventIdx) return;
    this.#ring.writeUsedEvent(0);
    this.#ring.writeAvailEvent(0);
  }

  /** Writes a chain into the queue's own table, along the free list. Returns its last descriptor. */
  #describe(list: ScatterList): number {
    if (this.options.byteOrder === 'big') return this.#describeSwapped(list);
    const { buffers } = this;
    const { next, entries } = buffers;
    const { words, length, readable } = list;
    const { u32 } = this.guest;
    const table = this.#table;
    const last = list.count - 1;
    let at = buffers.nextHead;
    for (let i = 0; ; i++) {
      const low = words[i * 2]!;
      const high = words[i * 2 + 1]!;
      const bytes = length[i]!;
      const behind = next[at]!;
      writeSegment(entries, at * 4, low, high, bytes);
      writeSegment(u32, table + at * 4, low, high, bytes);
      u32[table + at * 4 + 3] = (i >= readable ? WRITE : 0) | (i === last ? 0 : NEXT | (behind << 16));
      if (i === last) return at;
      at = behind;
    }
  }

  /** The same in a ring whose fields have their bytes swapped. */
  #describeSwapped({ count, readable, words, length }: ScatterList): number {
    const { buffers } = this;
    let at = buffers.nextHead;
    for (let i = 0; ; i++) {
      const isLast = i === count - 1;
      const flags = (i >= readable ? WRITE : 0) | (isLast ? 0 : NEXT);
      const behind = buffers.next[at]!;
      buffers.describe(at, words[i * 2]!, words[i * 2 + 1]!, length[i]!);
      this.#descriptors.write(at, words[i * 2]!, words[i * 2 + 1]!, length[i]!, flags, isLast ? 0 : behind);
      if (isLast) return at;
      at = behind;
    }
  }

  /**
   * Writes a chain into the head's own indirect table, sequentially, and refers to it by one descriptor. Returns this
   * descriptor.
   */
  #describeInTable({ count, readable, words, length }: ScatterList): number {
    const { buffers } = this;
    const tables = this.#tables!;
    const head = buffers.nextHead;
    const first = buffers.firstTableEntry(head);
    const entry = buffers.tableEntry(head, 0);
    for (let i = 0; i < count; i++) {
      const isLast = i === count - 1;
      const flags = (i >= readable ? WRITE : 0) | (isLast ? 0 : NEXT);
      buffers.describe(entry + i, words[i * 2]!, words[i * 2 + 1]!, length[i]!);
      tables.write(first + i, words[i * 2]!, words[i * 2 + 1]!, length[i]!, flags, isLast ? 0 : i + 1);
    }
    const table = this.tableWords;
    this.memory.tables!.writeDeviceAddress(first * DESCRIPTOR_SIZE, table, 0);
    this.#descriptors.write(head, table[0]!, table[1]!, count * DESCRIPTOR_SIZE, VIRTQ_DESC_F_INDIRECT, 0);
    return head;
  }

  /** `RingInspection.usedElements`, where the device is at `used`. Cold. */
  #usedElements(used: number): UsedElement[] {
    const arrived = (used - this.#lastUsedIdx) & 0xffff;
    // An index that jumped further than the queue is long tells nothing of what is behind it.
    const shown = Math.min(arrived > this.size ? 0 : arrived, MOST_USED_ELEMENTS - TAKEN_ELEMENTS);
    const taken = Math.min(TAKEN_ELEMENTS, this.size - shown, this.buffers.added - this.buffers.count);
    return Array.from({ length: Math.max(0, taken) + shown }, (_, i): UsedElement => {
      const by = i - Math.max(0, taken);
      const position = (this.#lastUsedIdx + by) & 0xffff;
      const slot = position & (this.size - 1);
      const state = by < 0 ? 'taken' : 'used';
      return {
        position,
        slot,
        id: this.#ring.usedId(slot),
        length: this.#ring.usedLength(slot),
        flags: undefined,
        state,
      };
    });
  }

  /** Takes the buffers of the next `count` used elements into `batch`, unless one breaks the queue. */
  #take(count: number, batch: UsedBatch): void {
    this.#lastUsedIdx = this.buffers.takeBack(this.#ring, this.#lastUsedIdx, count, batch) & 0xffff;
    if (batch.count < count) this.breakByRefusal();
  }

  /**
   * The same with IN_ORDER: takes back the oldest buffers. A used element stands for every buffer up to the one it
   * names. `arrived` is how many buffers have arrived according to the device.
   */
  #takeInOrder(count: number, arrived: number, batch: UsedBatch): void {
    const { buffers } = this;
    for (let left = arrived; left > arrived - count; left--) {
      const slot = this.#lastUsedIdx & (this.size - 1);
      if (buffers.batchEnd < 0 && !buffers.beginBatch(this.#ring.usedId(slot), this.#ring.usedLength(slot))) {
        return void this.breakByRefusal();
      }
      if (left === 1 && buffers.oldestHead !== buffers.batchEnd) {
        return void this.break('used-index-out-of-range', `used.idx ends before buffer ${buffers.batchEnd}`);
      }
      if (buffers.completeOldest(batch) === 0) return void this.breakByRefusal();
      this.#lastUsedIdx = (this.#lastUsedIdx + 1) & 0xffff;
    }
  }
}
