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
} from './packed-layout.ts';
import { packedDescriptors } from './packed-descriptors.ts';
import { PackedRing } from './packed-ring.ts';

/** Of a buffer that was made available before the queue was restored. */
const UNKNOWN_POSITION = -1;

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
  #tables: DescriptorTable | undefined;
  #availPosition = FIRST_POSITION;
  /** {@link #availPosition} at the last `publish`. */
  #nextAvailable = FIRST_POSITION;
  #usedPosition = FIRST_POSITION;
  /** By slot: `added` of the buffer for which it was written last, also of one that was not added. */
  #slotsDescribedFor = new Uint32Array(0);
  /** Slots made ready since the last `publish`. */
  #readySlots = 0;
  /** The first of them, and its flags, which `publish` writes. */
  #heldSlot = 0;
  #heldFlags = 0;
  /** By id: where the buffer was made available last, {@link UNKNOWN_POSITION} where that is not known. */
  #positions!: Int32Array;

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
    if (this.broken !== undefined) return QUEUE_BROKEN;
    const buffers = this.buffers;
    const place = buffers.place(list);
    if (place < 0) return place;
    const useTable = place === IN_TABLE;
    const last = useTable ? this.#describeInTable(list) : this.#describe(list);
    if (last < 0) return last;
    this.#positions[buffers.nextHead] = this.#availPosition;
    this.#makeReady(list, useTable);
    return buffers.add(list, last, useTable);
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
    while (batch.count < batch.capacity && this.broken === undefined) {
      const entries = this.#inOrder ? this.#takeInOrder(batch) : this.#take(batch);
      if (entries === 0) break;
      this.#usedPosition = advance(this.#usedPosition, entries, this.size);
    }
    return batch.count;
  }

  enableNotifications(): boolean {
    if (this.#eventIdx) this.#ring.writeDriverEvent(this.#usedPosition, RING_EVENT_FLAGS_DESC);
    else this.#ring.writeDriverEvent(0, RING_EVENT_FLAGS_ENABLE);
    return !this.#hasUsed();
  }

  /** Looks again at the next used descriptor: the slot of the event may lie inside a list and never change. */
  enableNotificationsDelayed(): boolean {
    if (!this.#eventIdx) return this.enableNotifications();
    const published = this.size - this.buffers.free - this.#readySlots;
    const position = advance(this.#usedPosition, Math.floor((published * 3) / 4), this.size);
    this.#ring.writeDriverEvent(position, RING_EVENT_FLAGS_DESC);
    return !this.#hasUsed();
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
    const slotsDescribedFor = this.#slotsDescribedFor;
    const parts = { ring: this.#ring, tables: this.#tables, size: this.size, slotsDescribedFor };
    return this.buffers.records().map((record) => {
      const { id, isOutstanding, isIndirect } = record;
      const position = this.#positions[id]!;
      const first = isIndirect ? this.buffers.firstTableEntry(id) : 0;
      if (isIndirect) this.memory.tables!.writeDeviceAddress(first * DESCRIPTOR_SIZE, this.tableWords, 0);
      const descriptors = packedDescriptors(record, position, parts, first, this.tableWords);
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
    this.#ring = new PackedRing(this.guest, address, address + layout.driverOffset, address + layout.deviceOffset);
    this.#tables = tables && openDescriptorTable('little', this.guest, tables.address);
    this.#positions = new Int32Array(size).fill(UNKNOWN_POSITION);
    this.#slotsDescribedFor = new Uint32Array(size);
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
   * Writes all of a list but its flags. Returns its last entry, or a negative reason where a segment cannot be mapped;
   * then nothing has changed for the device.
   */
  #describe(list: ScatterList): number {
    const buffers = this.buffers;
    const { deviceAddresses, describedFor, added } = buffers;
    const slotsDescribedFor = this.#slotsDescribedFor;
    const count = list.count;
    const id = buffers.nextHead;
    let position = this.#availPosition;
    let entry = id;
    for (let i = 0; ; i++) {
      describedFor[entry] = added;
      const failure = buffers.map(list, i, entry);
      if (failure < 0) return failure;
      const low = deviceAddresses[entry * 2]!;
      const slot = slotOf(position);
      slotsDescribedFor[slot] = added;
      this.#ring.writeDescriptor(slot, low, deviceAddresses[entry * 2 + 1]!, list.length[i]!, id);
      if (i === count - 1) return entry;
      entry = buffers.entryAfter(entry);
      position = advance(position, 1, this.size);
    }
  }

  /**
   * Writes the buffer's own indirect table, in which only WRITE means anything, and one descriptor that refers to it.
   * Returns the id, or a negative reason as {@link #describe}.
   */
  #describeInTable(list: ScatterList): number {
    const buffers = this.buffers;
    const { deviceAddresses } = buffers;
    const count = list.count;
    const id = buffers.nextHead;
    buffers.describedFor[id] = buffers.added;
    const first = buffers.firstTableEntry(id);
    for (let i = 0; i < count; i++) {
      const entry = buffers.tableEntry(id, i);
      const failure = buffers.map(list, i, entry);
      if (failure < 0) return failure;
      // Where a split descriptor has flags and next, a packed one has id and flags (section 2.8.13).
      const flags = i >= list.readable ? VIRTQ_DESC_F_WRITE : 0;
      const low = deviceAddresses[entry * 2]!;
      this.#tables!.write(first + i, low, deviceAddresses[entry * 2 + 1]!, list.length[i]!, 0, flags);
    }
    const table = this.tableWords;
    this.memory.tables!.writeDeviceAddress(first * DESCRIPTOR_SIZE, table, 0);
    const slot = slotOf(this.#availPosition);
    this.#slotsDescribedFor[slot] = buffers.added;
    this.#ring.writeDescriptor(slot, table[0]!, table[1]!, count * DESCRIPTOR_SIZE, id);
    return id;
  }

  /**
   * Writes the flags of a described list, the first slot's last; those of the first list since the last `publish` are
   * held back for it. A pass of its own, because flags written before every segment is mapped would stay after a
   * failure.
   */
  #makeReady(list: ScatterList, useTable: boolean): void {
    const slots = useTable ? 1 : list.count;
    const first = this.#availPosition;
    let position = advance(first, 1, this.size);
    for (let i = 1; i < slots; i++) {
      this.#ring.writeFlags(slotOf(position), listFlags(list, i) | availableFlags(position));
      position = advance(position, 1, this.size);
    }
    const flags = (useTable ? VIRTQ_DESC_F_INDIRECT : listFlags(list, 0)) | availableFlags(first);
    if (this.#readySlots === 0) {
      this.#heldSlot = slotOf(first);
      this.#heldFlags = flags;
    } else this.#ring.writeFlags(slotOf(first), flags);
    this.#availPosition = position;
    this.#readySlots += slots;
  }

  /** Takes back the next used buffer. Returns its slots, or 0 where none has arrived or the buffer broke the queue. */
  #take(batch: UsedBatch): number {
    const slot = slotOf(this.#usedPosition);
    const flags = this.#ring.flags(slot);
    if (!isUsed(flags, this.#usedPosition)) return 0;
    const id = this.#ring.id(slot);
    const entries = this.buffers.complete(id, this.#writtenAt(slot, flags), batch);
    if (entries === 0) this.breakByRefusal();
    return entries;
  }

  /**
   * The same with IN_ORDER: the oldest buffer of a batch, which the next used descriptor begins between two batches.
   */
  #takeInOrder(batch: UsedBatch): number {
    const buffers = this.buffers;
    if (buffers.batchEnd < 0) {
      const slot = slotOf(this.#usedPosition);
      const flags = this.#ring.flags(slot);
      if (!isUsed(flags, this.#usedPosition)) return 0;
      if (!buffers.beginBatch(this.#ring.id(slot), this.#writtenAt(slot, flags))) {
        this.breakByRefusal();
        return 0;
      }
    }
    const entries = buffers.completeOldest(batch);
    if (entries === 0) this.breakByRefusal();
    return entries;
  }

  /** The length means something only with WRITE (section 2.8.3), or where the device never sets WRITE. */
  #writtenAt(slot: number, flags: number): number {
    return (flags & VIRTQ_DESC_F_WRITE) !== 0 || this.#unmarkedLengths ? this.#ring.length(slot) : 0;
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
    return { ...buffer, position: this.#positions[buffer.id]! };
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

/** The flags of segment `i` of a list in the ring itself, without those that make it available. */
function listFlags(list: ScatterList, i: number): number {
  return (i >= list.readable ? VIRTQ_DESC_F_WRITE : 0) | (i === list.count - 1 ? 0 : VIRTQ_DESC_F_NEXT);
}
