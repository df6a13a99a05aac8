import { DmaDirection } from '../dma/dma-direction.ts';
import type { DmaMapping, DmaStatistics } from '../dma/dma-mapping.ts';
import type { DmaRegion } from '../dma/dma-region.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';
import type { BrokenCode, BrokenReason } from './broken-reason.ts';
import type { ByteOrder } from './byte-order.ts';
import { openDescriptorTable, type DescriptorTable } from './descriptor-table.ts';
import { needsNotification, VIRTQ_AVAIL_F_NO_INTERRUPT, VIRTQ_USED_F_NO_NOTIFY } from './notification.ts';
import { openSplitRing } from './open-split-ring.ts';
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
import { QUEUE_BROKEN, QUEUE_FULL, type QueueAddresses, type UsedLengthPolicy, type Virtqueue } from './virtqueue.ts';

export interface SplitVirtqueueOptions {
  readonly index: number;
  /** Entries: a power of two, 1 to 32768. */
  readonly size: number;
  readonly eventIdx: boolean;
  /** Entries of each indirect table, or 0 when INDIRECT_DESC was not negotiated. */
  readonly indirect: number;
  /** The contiguous layout of the legacy interface, used ring aligned to 4096. */
  readonly legacyLayout: boolean;
  readonly byteOrder: ByteOrder;
  readonly usedLength: UsedLengthPolicy;
}

/** No segment is mapped here: it is premapped, or there is none. */
const NOT_MAPPED = -1;
/** The head of no outstanding buffer. */
const NOT_A_HEAD = 0;

/**
 * The driver's end of a split virtqueue (specification 1.4 section 2.7).
 *
 * Everything the driver wrote is kept in private arrays and never read back: the device can write every byte of the shared
 * rings. Every field of the device is read once and checked against those arrays. Free descriptors form a private list.
 */
export class SplitVirtqueue implements Virtqueue {
  readonly index: number;
  readonly size: number;
  readonly addresses: QueueAddresses;
  readonly #mapping: DmaMapping;
  readonly #ring: SplitRing;
  readonly #ringRegion: DmaRegion;
  readonly #descriptors: DescriptorTable;
  readonly #tables: DescriptorTable | undefined;
  readonly #tableRegion: DmaRegion | undefined;
  readonly #tableEntries: number;
  readonly #eventIdx: boolean;
  readonly #usedLength: UsedLengthPolicy;

  /** By descriptor: the next one of the chain or of the free list. */
  readonly #next: Uint16Array;
  /** By head: segments of the buffer, 0 while the descriptor is no head; and whether they are in its indirect table. */
  readonly #segments: Uint16Array;
  readonly #isIndirect: Uint8Array;
  /** By head: bytes the device may write. */
  readonly #writable: Uint32Array;
  /** By head: what `#availIdx` was when the buffer was added. */
  readonly #addedAt: Int32Array;
  /** By descriptor, then by indirect entry: mapping id, length, and whether the device writes it. */
  readonly #mapped: Int32Array;
  readonly #length: Uint32Array;
  readonly #isWritable: Uint8Array;
  readonly #words: Uint32Array = new Uint32Array(2);

  #freeHead = 0;
  #freeCount: number;
  /** These two run free in 32 bits, so that an old buffer is told from one not shown yet; the ring holds their low 16. */
  #availIdx = 0;
  #publishedIdx = 0;
  #lastUsedIdx = 0;
  #outstanding = 0;
  #broken: BrokenReason | undefined;

  /** Allocates the ring through `mapping`, which stays the caller's. Throws {@link DmaError} when there is no memory for it. */
  constructor(memory: GuestMemory, mapping: DmaMapping, options: SplitVirtqueueOptions) {
    const { index, size, indirect } = options;
    const layout = splitLayout(size, options.legacyLayout ? LEGACY_QUEUE_ALIGN : 4);
    this.index = index;
    this.size = size;
    this.#mapping = mapping;
    this.#eventIdx = options.eventIdx;
    this.#usedLength = options.usedLength;
    // A chain is no longer than the queue, not even through a table (section 2.7.5.3.1).
    this.#tableEntries = Math.min(indirect, size);

    this.#ringRegion = mapping.allocateCoherent(layout.totalBytes, layout.alignment);
    try {
      const tableBytes = size * this.#tableEntries * DESCRIPTOR_SIZE;
      this.#tableRegion = tableBytes > 0 ? mapping.allocateCoherent(tableBytes, DESCRIPTOR_SIZE) : undefined;
    } catch (error) {
      this.#ringRegion.release();
      throw error;
    }
    const ring = this.#ringRegion;
    const driver = ring.address + layout.driverOffset;
    const device = ring.address + layout.deviceOffset;
    this.#ring = openSplitRing(options.byteOrder, memory, driver, device, size);
    this.#descriptors = openDescriptorTable(options.byteOrder, memory, ring.address);
    this.#tables = this.#tableRegion && openDescriptorTable(options.byteOrder, memory, this.#tableRegion.address);
    const words = new Uint32Array(6);
    ring.writeDeviceAddress(0, words, 0);
    ring.writeDeviceAddress(layout.driverOffset, words, 2);
    ring.writeDeviceAddress(layout.deviceOffset, words, 4);
    this.addresses = { size, words };

    const entries = size * (1 + this.#tableEntries);
    this.#next = new Uint16Array(size);
    this.#segments = new Uint16Array(size);
    this.#isIndirect = new Uint8Array(size);
    this.#writable = new Uint32Array(size);
    this.#addedAt = new Int32Array(size);
    this.#mapped = new Int32Array(entries).fill(NOT_MAPPED);
    this.#length = new Uint32Array(entries);
    this.#isWritable = new Uint8Array(entries);
    this.#freeCount = size;
    for (let i = 0; i < size; i++) this.#next[i] = (i + 1) & (size - 1);
  }

  get outstanding(): number {
    return this.#outstanding;
  }

  get broken(): BrokenReason | undefined {
    return this.#broken;
  }

  get dma(): DmaStatistics {
    return this.#mapping.statistics;
  }

  add(list: ScatterList): number {
    if (this.#broken !== undefined) return QUEUE_BROKEN;
    const count = list.count;
    if (count === 0) throw new TypeError('a request has at least one segment');
    const useTable = count > 1 && count <= this.#tableEntries;
    if (!useTable && count > this.size) {
      throw new RangeError(
        `queue ${this.index}: a request of ${count} segments does not fit in ${this.size} descriptors`,
      );
    }
    if (this.#freeCount < (useTable ? 1 : count)) return QUEUE_FULL;
    const head = this.#freeHead;
    const failure = useTable ? this.#describeInTable(head, list) : this.#describe(head, list);
    if (failure < 0) return failure;
    this.#segments[head] = count;
    this.#isIndirect[head] = useTable ? 1 : 0;
    this.#outstanding++;
    this.#addedAt[head] = this.#availIdx;
    this.#ring.writeAvailEntry(this.#availIdx & (this.size - 1), head);
    this.#availIdx = (this.#availIdx + 1) | 0;
    return head;
  }

  publish(): boolean {
    const previous = this.#publishedIdx;
    const current = this.#availIdx;
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
      const slot = this.#lastUsedIdx & (this.size - 1);
      if (!this.#complete(this.#ring.usedId(slot), this.#ring.usedLength(slot), batch)) break;
      this.#lastUsedIdx = (this.#lastUsedIdx + 1) & 0xffff;
    }
    return batch.count;
  }

  enableNotifications(): boolean {
    if (this.#eventIdx) this.#ring.writeUsedEvent(this.#lastUsedIdx);
    else this.#ring.writeAvailFlags(0);
    return this.#ring.usedIdx() === this.#lastUsedIdx;
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
    const returned: number[] = [];
    for (let head = 0; head < this.size; head++) {
      if (this.#segments[head] === NOT_A_HEAD) continue;
      returned.push(head);
      this.#release(head, 0);
    }
    this.#clearRing();
    this.#availIdx = 0;
    this.#publishedIdx = 0;
    this.#lastUsedIdx = 0;
    this.#broken = undefined;
    return returned;
  }

  dispose(): void {
    this.reset();
    this.#tableRegion?.release();
    this.#ringRegion.release();
  }

  /** Writes a chain into the queue's own table, from the free list. On a failed mapping nothing has changed. */
  #describe(head: number, list: ScatterList): number {
    const count = list.count;
    const readable = list.readable;
    let writable = 0;
    let at = head;
    for (let i = 0; i < count; i++) {
      const isWritable = i >= readable ? 1 : 0;
      const failure = this.#mapSegment(list, i, at, isWritable);
      if (failure < 0) {
        this.#unmapChain(head, i);
        return failure;
      }
      const next = this.#next[at]!;
      const isLast = i === count - 1;
      const flags = (isWritable === 1 ? VIRTQ_DESC_F_WRITE : 0) | (isLast ? 0 : VIRTQ_DESC_F_NEXT);
      this.#descriptors.write(at, this.#words[0]!, this.#words[1]!, list.length[i]!, flags, isLast ? 0 : next);
      if (isWritable === 1) writable += list.length[i]!;
      at = next;
    }
    this.#writable[head] = writable;
    this.#freeHead = at;
    this.#freeCount -= count;
    return head;
  }

  /** Writes a chain into the head's own indirect table, sequentially, and refers to it by one descriptor. */
  #describeInTable(head: number, list: ScatterList): number {
    const count = list.count;
    const readable = list.readable;
    const tables = this.#tables!;
    const entry = head * this.#tableEntries;
    let writable = 0;
    for (let i = 0; i < count; i++) {
      const isWritable = i >= readable ? 1 : 0;
      const failure = this.#mapSegment(list, i, this.size + entry + i, isWritable);
      if (failure < 0) {
        this.#unmapTable(head, i);
        return failure;
      }
      const isLast = i === count - 1;
      const flags = (isWritable === 1 ? VIRTQ_DESC_F_WRITE : 0) | (isLast ? 0 : VIRTQ_DESC_F_NEXT);
      tables.write(entry + i, this.#words[0]!, this.#words[1]!, list.length[i]!, flags, isLast ? 0 : i + 1);
      if (isWritable === 1) writable += list.length[i]!;
    }
    this.#tableRegion!.writeDeviceAddress(entry * DESCRIPTOR_SIZE, this.#words, 0);
    const bytes = count * DESCRIPTOR_SIZE;
    this.#descriptors.write(head, this.#words[0]!, this.#words[1]!, bytes, VIRTQ_DESC_F_INDIRECT, 0);
    this.#writable[head] = writable;
    this.#freeHead = this.#next[head]!;
    this.#freeCount -= 1;
    return head;
  }

  /** Puts the device address of segment `i` into the scratch words and remembers the mapping at `at`. */
  #mapSegment(list: ScatterList, i: number, at: number, isWritable: 0 | 1): number {
    this.#length[at] = list.length[i]!;
    this.#isWritable[at] = isWritable;
    if (list.premapped[i] === 1) {
      this.#words[0] = list.words[i * 2]!;
      this.#words[1] = list.words[i * 2 + 1]!;
      this.#mapped[at] = NOT_MAPPED;
      return 0;
    }
    const direction = isWritable === 1 ? DmaDirection.FromDevice : DmaDirection.ToDevice;
    const id = this.#mapping.map(list.address[i]!, list.length[i]!, direction, this.#words, 0);
    if (id >= 0) this.#mapped[at] = id;
    return id;
  }

  /** Buffers the device may return: those published, not those only added. */
  #published(): number {
    return this.#outstanding - ((this.#availIdx - this.#publishedIdx) | 0);
  }

  #complete(id: number, length: number, batch: UsedBatch): boolean {
    if (id >= this.size) return this.#break('used-id-out-of-range', `used id ${id} in a queue of ${this.size}`);
    if (this.#segments[id] === NOT_A_HEAD)
      return this.#break('used-id-not-outstanding', `used id ${id} is not outstanding`);
    if (((this.#addedAt[id]! - this.#publishedIdx) | 0) >= 0) {
      return this.#break('used-id-not-outstanding', `used id ${id} was not made available yet`);
    }
    const writable = this.#writable[id]!;
    let written = length;
    if (this.#usedLength === 'ignore') written = writable;
    else if (length > writable) {
      if (this.#usedLength === 'strict') {
        return this.#break(
          'used-length-too-large',
          `${length} bytes written to buffer ${id}, which has room for ${writable}`,
        );
      }
      written = writable;
    }
    this.#release(id, written);
    batch.ids[batch.count] = id;
    batch.written[batch.count] = written;
    batch.count++;
    return true;
  }

  /** Unmaps a buffer and puts its descriptors back on the free list. */
  #release(head: number, written: number): void {
    const count = this.#segments[head]!;
    this.#segments[head] = NOT_A_HEAD;
    this.#outstanding--;
    if (this.#isIndirect[head] === 1) {
      const entry = this.size + head * this.#tableEntries;
      for (let i = 0; i < count; i++) written = this.#unmapSegment(entry + i, written);
      this.#next[head] = this.#freeHead;
      this.#freeCount += 1;
    } else {
      let at = head;
      for (let i = 0; ; i++) {
        written = this.#unmapSegment(at, written);
        if (i === count - 1) break;
        at = this.#next[at]!;
      }
      this.#next[at] = this.#freeHead;
      this.#freeCount += count;
    }
    this.#freeHead = head;
  }

  /** Unmaps one segment and returns how many written bytes are left for the ones behind it. */
  #unmapSegment(at: number, written: number): number {
    const isWritable = this.#isWritable[at] === 1;
    const length = this.#length[at]!;
    const here = isWritable ? (written < length ? written : length) : 0;
    const id = this.#mapped[at]!;
    if (id !== NOT_MAPPED) {
      this.#mapped[at] = NOT_MAPPED;
      this.#mapping.unmap(id, here);
    }
    return written - here;
  }

  #unmapChain(head: number, count: number): void {
    for (let i = 0, at = head; i < count; i++, at = this.#next[at]!) this.#unmapSegment(at, 0);
  }

  #unmapTable(head: number, count: number): void {
    const entry = this.size + head * this.#tableEntries;
    for (let i = 0; i < count; i++) this.#unmapSegment(entry + i, 0);
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
