import type { DeviceAddressSpace } from '../../address-space/device-address-space.ts';
import type { DescriptorChain } from '../device/descriptor-chain.ts';
import { DeviceEnd, type DeviceEndLayout } from '../device/device-end.ts';
import type { DeviceQueueOptions } from '../device/device-queue.ts';
import type { DeviceQueueJournal, ResubmittedBuffer } from '../device/device-queue-journal.ts';
import type { DeviceQueueState } from '../device/device-queue-state.ts';
import type { BrokenCode } from '../ring/broken-reason.ts';
import { VIRTQ_DESC_F_INDIRECT, VIRTQ_DESC_F_NEXT, VIRTQ_DESC_F_WRITE } from '../ring/descriptor-table.ts';
import {
  advance,
  availableFlags,
  FIRST_POSITION,
  isAvailable,
  packedNeedsNotification,
  RING_EVENT_FLAGS_DESC,
  RING_EVENT_FLAGS_DISABLE,
  RING_EVENT_FLAGS_ENABLE,
  RING_EVENT_SIZE,
  slotOf,
  usedFlags,
  VIRTQ_DESC_F_AVAIL,
  VIRTQ_DESC_F_USED,
} from './packed-layout.ts';
import { PackedRing } from './packed-ring.ts';

// In the loops: an imported constant is looked up, and checked for being there, each time.
const INDIRECT = VIRTQ_DESC_F_INDIRECT;
const NEXT = VIRTQ_DESC_F_NEXT;
const WRITE = VIRTQ_DESC_F_WRITE;
/** What toggles in the flags of an available descriptor from one lap to the next. */
const BOTH_MARKS = VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED;

/**
 * The device's end of a packed virtqueue (specification 1.4 section 2.8). Trusts nothing of the driver: ids are
 * checked, lists are bounded by the queue size, every field is read once, and an indirect table is copied before use.
 *
 * A used descriptor overwrites a slot that may hold another buffer's descriptor, so the slots that a buffer takes are
 * kept here. The flags of the first buffer pushed since the last `flush` are written last: the driver sees all of them
 * at once.
 */
export class PackedDeviceQueue extends DeviceEnd<PackedRing> {
  #availPosition = FIRST_POSITION;
  /** Whether the flags of the first buffer pushed since the last `flush` are held back; its slot and its flags. */
  #isHolding = false;
  #heldSlot = 0;
  #heldFlags = 0;
  /** Whether {@link #takeBackUsed} is done. */
  #isTakenBack = false;
  /** What the device area says to the driver. */
  #isEnabled = true;

  /** Throws `RangeError` for a size or an address that section 2.8.11 forbids. `restored` is a checked saved queue. */
  constructor(space: DeviceAddressSpace, options: DeviceQueueOptions, restored?: DeviceQueueState) {
    super(space, options, packedLayoutOf(options), restored);
    this.#availPosition = this.firstAvailable;
  }

  pop(chain: DescriptorChain): boolean {
    const ring = this.reach();
    if (ring === undefined) return false;
    if (this.resubmitted !== undefined) {
      if (!this.#isTakenBack) this.#takeBackUsed(ring);
      return this.resubmit(chain, (buffer) => this.#takeAgain(chain, buffer));
    }
    const flags = ring.flags(slotOf(this.#availPosition));
    if (!isAvailable(flags, this.#availPosition)) return false;
    chain.clear(0);
    const slots = (flags & INDIRECT) === 0 ? this.#walk(ring, chain, flags) : this.#takeTable(ring, chain, flags);
    if (slots === 0) return false;
    const id = chain.head;
    if (id >= this.size)
      return this.break('descriptor-index-out-of-range', `buffer id ${id} in a queue of ${this.size}`);
    if (this.slots[id] !== 0) return this.break('descriptor-already-in-flight', `buffer id ${id} is in flight`);
    if (this.inFlightSlots + slots > this.size) {
      return this.break('available-index-out-of-range', `${this.inFlightSlots} and ${slots} slots in flight`);
    }
    this.begin(id, slots, chain.writableBytes);
    if (this.popsToTell > 0) this.notePopped(chain);
    if (this.journal !== undefined) this.#note(ring, this.journal, id, slots);
    this.#availPosition = advance(this.#availPosition, slots, this.size);
    return true;
  }

  enableNotifications(): boolean {
    const ring = this.reach();
    if (ring === undefined) return true;
    this.#isEnabled = true;
    if (this.options.eventIdx) ring.writeDeviceEvent(this.#availPosition, RING_EVENT_FLAGS_DESC);
    else ring.writeDeviceEvent(0, RING_EVENT_FLAGS_ENABLE);
    return !isAvailable(ring.flags(slotOf(this.#availPosition)), this.#availPosition);
  }

  disableNotifications(): void {
    this.#isEnabled = false;
    this.reach()?.writeDeviceEvent(0, RING_EVENT_FLAGS_DISABLE);
  }

  awaitsNotification(): boolean {
    if (!this.#isEnabled) return false;
    const ring = this.reach();
    return ring !== undefined && isAvailable(ring.flags(slotOf(this.#availPosition)), this.#availPosition);
  }

  suppressesNotifications(): boolean {
    return !this.#isEnabled;
  }

  protected openRing(descriptor: number, driver: number, device: number): PackedRing {
    return new PackedRing(this.space.memory, descriptor, driver, device);
  }

  protected positionAfter(position: number, slots: number): number {
    return advance(position, slots, this.size);
  }

  /** Holds the flags back until `flush` where the entry is the first since the last one. */
  protected writeUsed(ring: PackedRing, position: number, id: number, written: number): void {
    const slot = slotOf(position);
    const flags = usedFlags(position) | (written > 0 ? WRITE : 0);
    if (this.#isHolding) return ring.writeUsedWhole(slot, id, written, flags);
    ring.writeUsed(slot, id, written);
    this.#isHolding = true;
    this.#heldSlot = slot;
    this.#heldFlags = flags;
  }

  protected publishUsed(ring: PackedRing, moved: number): boolean {
    ring.publishFlags(this.#heldSlot, this.#heldFlags);
    this.#isHolding = false;
    return packedNeedsNotification(ring.driverEvent(), this.usedPosition, moved, this.size, this.options.eventIdx);
  }

  /**
   * Copies a list of the ring's own descriptors; its id is that of the last one. Returns how many slots it takes, or 0
   * where it broke the queue.
   */
  #walk(ring: PackedRing, chain: DescriptorChain, firstFlags: number): number {
    const { size } = this;
    let slot = slotOf(this.#availPosition);
    let marks = availableFlags(this.#availPosition);
    let flags = firstFlags;
    let tail = 0;
    for (let slots = 1; ; slots++) {
      const length = ring.length(slot);
      const problem = chain.append(ring.low(slot), ring.high(slot), length, (flags & WRITE) !== 0, size);
      if (problem !== undefined) return this.#refuseAt(problem, slot, length, chain);
      if ((flags & NEXT) === 0) {
        chain.head = slots === 1 ? ring.id(slot) : tail & 0xffff;
        return slots;
      }
      if (slots === size) return this.#refuse('descriptor-chain-too-long', `a list of more than ${size} descriptors`);
      if (++slot === size) {
        slot = 0;
        marks ^= BOTH_MARKS;
      }
      tail = ring.tailBehind(slot);
      flags = tail >>> 16;
      // The driver makes a list available from its end (section 2.8.17): all of it is, once the first one is.
      if ((flags & BOTH_MARKS) !== marks)
        return this.#refuse('descriptor-not-available', `slot ${slot} of a list has flags 0x${flags.toString(16)}`);
      if ((flags & INDIRECT) !== 0) return this.#refuse('indirect-table-invalid', 'a table in a list of descriptors');
    }
  }

  /** Copies the indirect table of a slot. Returns the one slot that it takes, or 0 where it broke the queue. */
  #takeTable(ring: PackedRing, chain: DescriptorChain, flags: number): number {
    const slot = slotOf(this.#availPosition);
    chain.head = ring.id(slot);
    return this.#walkTable(chain, slot, ring.low(slot), ring.high(slot), ring.length(slot), flags) ? 1 : 0;
  }

  /**
   * Copies an indirect table, in order; of its flags only WRITE counts (section 2.8.7). Returns false where it broke
   * the queue.
   */
  #walkTable(chain: DescriptorChain, slot: number, low: number, high: number, bytes: number, flags: number): boolean {
    if (!this.options.indirect || (flags & NEXT) !== 0)
      return this.break('indirect-table-invalid', `descriptor ${slot} has flags 0x${flags.toString(16)}`);
    const entries = this.copyTable(low, high, bytes);
    const { table, longestChain } = this;
    for (let i = 0; i < entries; i++) {
      const length = table.length(i);
      // Where a split descriptor has next, a packed one has its flags.
      const isWritable = (table.next(i) & WRITE) !== 0;
      const problem = chain.append(table.low(i), table.high(i), length, isWritable, longestChain);
      if (problem !== undefined) return this.breakAt(problem, i, length, chain);
    }
    return entries > 0;
  }

  /** The descriptors as the ring has them by now: what is taken again from a journal is checked like the ring. */
  #note(ring: PackedRing, journal: DeviceQueueJournal, id: number, slots: number): void {
    let position = this.#availPosition;
    for (let i = 0; i < slots; i++) {
      const slot = slotOf(position);
      journal.descriptor(ring.low(slot), ring.high(slot), ring.length(slot), ring.flags(slot), ring.id(slot));
      position = advance(position, 1, this.size);
    }
    journal.taken(id);
  }

  /**
   * Another device's end may have written used descriptors behind the first one of a batch that it never showed. The
   * driver would see them once that first one is written again, so their slots are made available again, as they were.
   */
  #takeBackUsed(ring: PackedRing): void {
    this.#isTakenBack = true;
    for (let position = this.usedPosition; position !== this.#availPosition;) {
      const slot = slotOf(position);
      if (!isAvailable(ring.flags(slot), position)) ring.writeFlags(slot, availableFlags(position));
      position = advance(position, 1, this.size);
    }
  }

  /** Takes a buffer from the copies of its descriptors. Returns false where it broke the queue. */
  #takeAgain(chain: DescriptorChain, { descriptors }: ResubmittedBuffer): boolean {
    return descriptors.every(({ low, high, length, flags }, i) => {
      if ((flags & INDIRECT) === 0) {
        const problem = chain.append(low, high, length, (flags & WRITE) !== 0, this.size);
        return problem === undefined || this.breakAt(problem, i, length, chain);
      }
      if (descriptors.length > 1) return this.break('indirect-table-invalid', 'a table in a list of descriptors');
      return this.#walkTable(chain, i, low, high, length, flags);
    });
  }

  /** Latches the queue broken. Returns 0, as a list of no slots. */
  #refuse(code: BrokenCode, detail: string): 0 {
    this.break(code, detail);
    return 0;
  }

  #refuseAt(problem: BrokenCode, index: number, length: number, chain: DescriptorChain): 0 {
    this.breakAt(problem, index, length, chain);
    return 0;
  }
}

/** Checks size and addresses. Throws `RangeError`. */
function packedLayoutOf({ addresses: { size, words } }: DeviceQueueOptions): DeviceEndLayout {
  if (!Number.isInteger(size) || size < 1 || size > 32768)
    throw new RangeError(`queue size ${size} is not in 1..32768`);
  if (words[0]! % 16 !== 0 || words[2]! % 4 !== 0 || words[4]! % 4 !== 0)
    throw new RangeError('a queue area is misaligned');
  return {
    layout: 'packed',
    byteOrder: 'little',
    descriptorAccess: 'write',
    driverBytes: RING_EVENT_SIZE,
    deviceBytes: RING_EVENT_SIZE,
    firstPosition: FIRST_POSITION,
  };
}
