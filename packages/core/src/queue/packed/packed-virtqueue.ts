import type { DmaMapping } from '../../dma/dma-mapping.ts';
import type { GuestMemory } from '../../memory/guest-memory.ts';
import { DriverEnd, type RestoredVirtqueue } from '../driver/driver-end.ts';
import { IN_TABLE } from '../driver/outstanding-buffers.ts';
import {
  MOST_USED_ELEMENTS,
  TAKEN_ELEMENTS,
  type BufferInspection,
  type OutstandingBuffer,
  type RingInspection,
  type UsedElement,
} from '../driver/ring-inspection.ts';
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
import {
  advance,
  availableFlags,
  FIRST_POSITION,
  isUsed,
  packedLayout,
  packedNeedsNotification,
  RING_EVENT_FLAGS_DESC,
  RING_EVENT_FLAGS_DISABLE,
  RING_EVENT_FLAGS_ENABLE,
  slotOf,
  VIRTQ_DESC_F_AVAIL,
  VIRTQ_DESC_F_USED,
} from './packed-layout.ts';
import { packedDescriptors } from './packed-descriptors.ts';
import { PackedRing } from './packed-ring.ts';

// In the loops: an imported constant is looked up, and checked for being there, each time.
const NEXT = VIRTQ_DESC_F_NEXT;
const WRITE = VIRTQ_DESC_F_WRITE;
/** What toggles in the flags of an available descriptor from one lap to the next. */
const BOTH_MARKS = VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED;

/** Of a buffer that was made available before the queue was restored. */
const UNKNOWN_POSITION = -1;
/** More than any position: its wrap counter is in bit 15. */
const WHOLE_POSITION = 0x1_0000;

/**
 * The driver's end of a packed virtqueue (specification 1.4 section 2.8).
 *
 * Only its flags tell whether a slot of the ring is the driver's or the device's, so `OutstandingBuffers` keeps what
 * the driver gave away: how many slots a used buffer frees is never read from the ring. The flags of the first buffer
 * added since the last `publish` are written last: the device stops there until then, however many buffers follow.
 */
export class PackedVirtqueue extends DriverEnd {
  readonly #eventIdx: boolean;
  readonly #inOrder: boolean;
  readonly #unmarkedLengths: boolean;
  #ring!: PackedRing;
  /** Where its descriptors begin in 32-bit words of guest memory. */
  #firstSlot = 0;
  #tables: DescriptorTable | undefined;
  #availPosition = FIRST_POSITION;
  /** {@link #availPosition} at the last `publish`. */
  #nextAvailable = FIRST_POSITION;
  #usedPosition = FIRST_POSITION;
  /** How often {@link #availPosition} went round the ring. */
  #lap = 0;
  /** Slots made ready since the last `publish`. */
  #readySlots = 0;
  /** The first of them, and its flags, which `publish` writes. */
  #heldSlot = 0;
  #heldFlags = 0;
  /**
   * By id: where the buffer was made available last, with the lap in units of {@link WHOLE_POSITION};
   * {@link UNKNOWN_POSITION} where that is not known.
   */
  #positions!: Float64Array;

  /**
   * Allocates the ring through `mapping`, which stays the caller's, or takes over a saved queue and its ring. Throws
   * {@link DmaError} when the memory is exhausted and `RangeError` for a size the layout forbids.
   */
  constructor(memory: GuestMemory, mapping: DmaMapping, options: VirtqueueOptions, restored?: RestoredVirtqueue) {
    super('packed', memory, mapping, options);
    this.#eventIdx = options.eventIdx;
    this.#inOrder = options.inOrder ?? false;
    this.#unmarkedLengths = options.unmarkedLengths ?? false;
    this.open(restored?.state.size ?? options.size, restored?.ring);
    if (restored === undefined) return;
    this.buffers.restore(restored.state);
    this.#usedPosition = restored.state.usedPosition;
    this.#availPosition = advance(this.#usedPosition, this.size - this.buffers.free, this.size);
    this.#nextAvailable = this.#availPosition;
  }

  get nextAvailable(): number {
    return this.#nextAvailable;
  }

  get nextUsed(): number {
    return this.#usedPosition;
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
    this.#positions[buffers.nextHead] = this.#lap * WHOLE_POSITION + this.#availPosition;
    const last = useTable ? this.#describeInTable(list) : this.#describe(list);
    const id = buffers.add(list, last, useTable);
    if (this.toTell > 0) this.noteAdded(id, list);
    return id;
  }

  publish(): boolean {
    const moved = this.#readySlots;
    if (moved === 0 || this.broken !== undefined) return false;
    this.syncMap();
    this.#ring.publishFlags(this.#heldSlot, this.#heldFlags);
    this.#readySlots = 0;
    this.#nextAvailable = this.#availPosition;
    this.buffers.publish();
    const event = this.#ring.deviceEvent();
    return this.countPublication(packedNeedsNotification(event, this.#availPosition, moved, this.size, this.#eventIdx));
  }

  takeUsed(batch: UsedBatch): number {
    batch.count = 0;
    if (this.broken !== undefined) return 0;
    if (this.#inOrder) this.#takeInOrder(batch);
    else this.#take(batch);
    return this.countTaken(batch);
  }

  enableNotifications(): boolean {
    if (this.#eventIdx) this.#ring.writeDriverEvent(this.#usedPosition, RING_EVENT_FLAGS_DESC);
    else this.#ring.writeDriverEvent(0, RING_EVENT_FLAGS_ENABLE);
    return this.enabled(!this.#hasUsed());
  }

  /** Looks again at the next used descriptor: the slot of the event may lie inside a list and never change. */
  enableNotificationsDelayed(): boolean {
    if (!this.#eventIdx) return this.enableNotifications();
    const published = this.size - this.buffers.free - this.#readySlots;
    const position = advance(this.#usedPosition, Math.floor((published * 3) / 4), this.size);
    this.#ring.writeDriverEvent(position, RING_EVENT_FLAGS_DESC);
    return this.enabled(!this.#hasUsed());
  }

  disableNotifications(): void {
    this.#ring.writeDriverEvent(0, RING_EVENT_FLAGS_DISABLE);
  }

  inspect(): RingInspection {
    const ofDriver = this.#ring.driverEvent();
    const ofDevice = this.#ring.deviceEvent();
    return {
      layout: 'packed',
      eventIdx: this.#eventIdx,
      inOrder: this.#inOrder,
      driver: { available: this.#nextAvailable, taken: this.#usedPosition },
      driverEvent: { flags: ofDriver >>> 16, position: ofDriver & 0xffff },
      used: undefined,
      hasUsed: this.#hasUsed(),
      usedAstray: this.#usedAstray(),
      deviceEvent: { flags: ofDevice >>> 16, position: ofDevice & 0xffff },
      usedElements: this.#usedElements(),
      outstanding: this.buffers.list().map((buffer) => this.#placed(buffer)),
    };
  }

  inspectBuffers(): readonly BufferInspection[] {
    const parts = { ring: this.#ring, tables: this.#tables, size: this.size };
    return this.buffers.records().map((record) => {
      const { id, isOutstanding, isIndirect } = record;
      const position = this.#positionOf(id);
      const first = isIndirect ? this.buffers.firstTableEntry(id) : 0;
      if (isIndirect) this.memory.tables!.writeDeviceAddress(first * DESCRIPTOR_SIZE, this.tableWords, 0);
      const age = this.#slotsSince(id);
      const descriptors = packedDescriptors(record, position, age, parts, first, this.tableWords);
      return { id, isOutstanding, position, descriptors };
    });
  }

  protected get usedPosition(): number {
    return this.#usedPosition;
  }

  protected open(size: number, memory?: RingMemory): void {
    const layout = packedLayout(size);
    const { ring, tables } = this.openMemory(size, layout, memory);
    const { address } = ring;
    this.#firstSlot = address / 4;
    this.#ring = new PackedRing(
      this.guest,
      address,
      address + layout.driverOffset,
      address + layout.deviceOffset,
      size,
      this.#unmarkedLengths ? VIRTQ_DESC_F_WRITE : 0,
    );
    this.#tables = tables && openDescriptorTable('little', this.guest, tables.address);
    this.#positions = new Float64Array(size).fill(UNKNOWN_POSITION);
  }

  protected clearRing(): void {
    const { address, length } = this.memory.ring;
    this.guest.u8.fill(0, address, address + length);
    this.#availPosition = FIRST_POSITION;
    this.#nextAvailable = FIRST_POSITION;
    this.#usedPosition = FIRST_POSITION;
    this.#readySlots = 0;
  }

  /**
   * Writes the descriptors of a list. The flags of the first one since the last `publish` are held back for it. Returns
   * the last entry of the list.
   */
  #describe(list: ScatterList): number {
    const { buffers, size } = this;
    const { next, entries } = buffers;
    const { words, length, readable } = list;
    const { u32 } = this.guest;
    const ring = this.#firstSlot;
    const last = list.count - 1;
    const id = buffers.nextHead;
    let slot = slotOf(this.#availPosition);
    let marks = availableFlags(this.#availPosition);
    let at = id;
    for (let i = 0; ; i++) {
      const low = words[i * 2]!;
      const high = words[i * 2 + 1]!;
      const bytes = length[i]!;
      writeSegment(entries, at * 4, low, high, bytes);
      writeSegment(u32, ring + slot * 4, low, high, bytes);
      const flags = marks | (i >= readable ? WRITE : 0) | (i === last ? 0 : NEXT);
      if (i === 0) this.#writeFirstTail(slot, id, flags);
      else u32[ring + slot * 4 + 3] = id | (flags << 16);
      if (++slot === size) {
        slot = 0;
        marks ^= BOTH_MARKS;
        this.#lap++;
      }
      if (i === last) break;
      at = next[at]!;
    }
    this.#availPosition = slot | (marks === VIRTQ_DESC_F_AVAIL ? FIRST_POSITION : 0);
    this.#readySlots += list.count;
    return at;
  }

  /**
   * Writes the buffer's own indirect table, in which only WRITE means anything, and one descriptor that refers to it.
   * Returns the id.
   */
  #describeInTable({ count, readable, words, length }: ScatterList): number {
    const { buffers } = this;
    const tables = this.#tables!;
    const id = buffers.nextHead;
    const first = buffers.firstTableEntry(id);
    const entry = buffers.tableEntry(id, 0);
    for (let i = 0; i < count; i++) {
      buffers.describe(entry + i, words[i * 2]!, words[i * 2 + 1]!, length[i]!);
      // Where a split descriptor has flags and next, a packed one has id and flags (section 2.8.13).
      tables.write(first + i, words[i * 2]!, words[i * 2 + 1]!, length[i]!, 0, i >= readable ? WRITE : 0);
    }
    const table = this.tableWords;
    this.memory.tables!.writeDeviceAddress(first * DESCRIPTOR_SIZE, table, 0);
    const position = this.#availPosition;
    const slot = slotOf(position);
    this.#ring.writeBuffer(slot, table[0]!, table[1]!, count * DESCRIPTOR_SIZE);
    this.#writeFirstTail(slot, id, availableFlags(position) | VIRTQ_DESC_F_INDIRECT);
    this.#availPosition = advance(position, 1, this.size);
    if (slot === this.size - 1) this.#lap++;
    this.#readySlots++;
    return id;
  }

  /** Writes id and flags of the first descriptor of a buffer, or holds its flags back. */
  #writeFirstTail(slot: number, id: number, flags: number): void {
    if (this.#readySlots > 0) return this.#ring.writeTail(slot, id, flags);
    this.#ring.writeId(slot, id);
    this.#heldSlot = slot;
    this.#heldFlags = flags;
  }

  /** Takes back the next used buffers, unless one breaks the queue. */
  #take(batch: UsedBatch): void {
    this.#usedPosition = this.buffers.takeBack(this.#ring, this.#usedPosition, batch.capacity, batch);
    if (this.buffers.refusal !== undefined) this.breakByRefusal();
  }

  /** The same with IN_ORDER: the oldest buffers of a batch, which a used descriptor begins between two batches. */
  #takeInOrder(batch: UsedBatch): void {
    const { buffers } = this;
    const ring = this.#ring;
    while (batch.count < batch.capacity) {
      const position = this.#usedPosition;
      if (buffers.batchEnd < 0) {
        if (!ring.isUsed(position)) return;
        const isRight = buffers.beginBatch(ring.usedIdAt(position), ring.usedLengthAt(position));
        if (!isRight) return void this.breakByRefusal();
      }
      const entries = buffers.completeOldest(batch);
      if (entries === 0) return void this.breakByRefusal();
      this.#usedPosition = advance(position, entries, this.size);
    }
  }

  /** `RingInspection.usedElements`. Cold. */
  #usedElements(): UsedElement[] {
    const published = this.size - this.buffers.free - this.#readySlots;
    return Array.from(
      { length: Math.min(published + TAKEN_ELEMENTS, this.size, MOST_USED_ELEMENTS) },
      (_, by): UsedElement => {
        const position = advance(this.#usedPosition, by, this.size);
        const slot = slotOf(position);
        const flags = this.#ring.flags(slot);
        const state = isUsed(flags, position) ? 'used' : 'unused';
        return { position, slot, id: this.#ring.id(slot), length: this.#ring.length(slot), flags, state };
      },
    );
  }

  #placed(buffer: OutstandingBuffer): OutstandingBuffer {
    return { ...buffer, position: this.#positionOf(buffer.id) };
  }

  /** Where the last buffer with this id was made available, or {@link UNKNOWN_POSITION}. Cold. */
  #positionOf(id: number): number {
    return this.#positions[id]! % WHOLE_POSITION;
  }

  /** Slots that were made available from the first one of the last buffer with this id on. Cold. */
  #slotsSince(id: number): number {
    const laps = this.#lap - Math.floor(this.#positions[id]! / WHOLE_POSITION);
    return laps * this.size + slotOf(this.#availPosition) - slotOf(this.#positionOf(id));
  }

  /** `RingInspection.usedAstray`. Cold. */
  #usedAstray(): 'wrong-wrap' | number | undefined {
    const published = this.size - this.buffers.free - this.#readySlots;
    if (published === 0 || this.#hasUsed()) return undefined;
    // The flags of a slot that the driver made available are neither those of a used one of this lap nor of another.
    if (isUsed(this.#ring.flags(slotOf(this.#usedPosition)), advance(this.#usedPosition, this.size, this.size)))
      return 'wrong-wrap';
    // Behind what is available, too: the device may be ahead of the driver.
    for (let by = 1; by < this.size; by++) {
      const position = advance(this.#usedPosition, by, this.size);
      if (isUsed(this.#ring.flags(slotOf(position)), position)) return slotOf(position);
    }
    return undefined;
  }

  /** Whether a used buffer has arrived that is not taken back. */
  #hasUsed(): boolean {
    return this.buffers.batchEnd >= 0 || isUsed(this.#ring.flags(slotOf(this.#usedPosition)), this.#usedPosition);
  }
}
