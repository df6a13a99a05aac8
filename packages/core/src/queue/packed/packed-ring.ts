import type { GuestMemory } from '../../memory/guest-memory.ts';
import { VIRTQ_DESC_F_WRITE } from '../ring/descriptor-table.ts';
import type { UsedEntries } from '../ring/used-entries.ts';
import { advance, isUsed, slotOf } from './packed-layout.ts';

/**
 * Access to the shared fields of a packed ring, for both ends. Each field is one aligned load or store; flags and event
 * suppression structures are ordered (sequentially consistent) where the other end may look, which also gives the
 * barriers of specification 1.4 sections 2.8.21.1.1 and 2.8.21.3.1. Always little-endian: the legacy interface has
 * split rings only. Hot: no allocation.
 */
export class PackedRing implements UsedEntries {
  readonly #u16: Uint16Array;
  readonly #u32: Uint32Array;
  readonly #id: number;
  readonly #address: number;
  readonly #driver: number;
  readonly #device: number;
  readonly #size: number;
  readonly #impliedFlags: number;
  #usedFlags = 0;

  /**
   * The three areas as byte offsets into guest memory, aligned to 16, 4 and 4. A driver's end has `size` entries, and
   * takes `impliedFlags` for set in each used descriptor.
   */
  constructor(
    memory: GuestMemory,
    descriptor: number,
    driver: number,
    device: number,
    size: number = 0,
    impliedFlags: number = 0,
  ) {
    this.#u16 = memory.u16;
    this.#u32 = memory.u32;
    this.#id = descriptor / 2 + 6;
    this.#address = descriptor / 4;
    this.#driver = driver / 4;
    this.#device = device / 4;
    this.#size = size;
    this.#impliedFlags = impliedFlags;
  }

  /** Writes a descriptor except for its flags, which make it available. */
  writeDescriptor(slot: number, low: number, high: number, length: number, id: number): void {
    const at = this.#address + slot * 4;
    this.#u32[at] = low;
    this.#u32[at + 1] = high;
    this.#u32[at + 2] = length;
    this.#u16[this.#id + slot * 8] = id;
  }

  /** Writes address and length of a descriptor; id and flags follow. */
  writeBuffer(slot: number, low: number, high: number, length: number): void {
    const at = this.#address + slot * 4;
    this.#u32[at] = low;
    this.#u32[at + 1] = high;
    this.#u32[at + 2] = length;
  }

  writeId(slot: number, id: number): void {
    this.#u16[this.#id + slot * 8] = id;
  }

  /** Writes id and flags that the other end does not read yet, as {@link writeFlags}. */
  writeTail(slot: number, id: number, flags: number): void {
    this.#u32[this.#address + slot * 4 + 3] = id | (flags << 16);
  }

  /** Writes id and length of a used descriptor. The address means nothing there, and the flags follow separately. */
  writeUsed(slot: number, id: number, length: number): void {
    this.#u32[this.#address + slot * 4 + 2] = length;
    this.#u16[this.#id + slot * 8] = id;
  }

  /** The same with flags that the other end does not read yet, as {@link writeFlags}. */
  writeUsedWhole(slot: number, id: number, length: number, flags: number): void {
    this.#u32[this.#address + slot * 4 + 2] = length;
    this.writeTail(slot, id, flags);
  }

  /** Writes flags that the other end does not read yet: those of slots behind one whose flags are published later. */
  writeFlags(slot: number, flags: number): void {
    this.#u16[this.#id + slot * 8 + 1] = flags;
  }

  /** Writes flags in order: the other end sees everything written before them. */
  publishFlags(slot: number, flags: number): void {
    Atomics.store(this.#u16, this.#id + slot * 8 + 1, flags);
  }

  /** Reads flags in order: what is read after them is at least as recent. */
  flags(slot: number): number {
    return Atomics.load(this.#u16, this.#id + slot * 8 + 1);
  }

  /**
   * Id in the low half and flags in the high one, inside a list, in one access. Unordered: the whole list became
   * available with the flags of its first slot, read in order.
   */
  tailBehind(slot: number): number {
    return this.#u32[this.#address + slot * 4 + 3]!;
  }

  low(slot: number): number {
    return this.#u32[this.#address + slot * 4]!;
  }

  high(slot: number): number {
    return this.#u32[this.#address + slot * 4 + 1]!;
  }

  length(slot: number): number {
    return this.#u32[this.#address + slot * 4 + 2]!;
  }

  id(slot: number): number {
    return this.#u16[this.#id + slot * 8]!;
  }

  isUsed(position: number): boolean {
    this.#usedFlags = this.flags(slotOf(position));
    return isUsed(this.#usedFlags, position);
  }

  usedIdAt(position: number): number {
    return this.id(slotOf(position));
  }

  /** The length means something only with WRITE (section 2.8.3), or where the device never sets WRITE. */
  usedLengthAt(position: number): number {
    const isMarked = ((this.#usedFlags | this.#impliedFlags) & VIRTQ_DESC_F_WRITE) !== 0;
    return isMarked ? this.length(slotOf(position)) : 0;
  }

  positionBehind(position: number, slots: number): number {
    return advance(position, slots, this.#size);
  }

  /** The driver's event suppression structure: position in the low half, flags in the high one, in one access. */
  driverEvent(): number {
    return Atomics.load(this.#u32, this.#driver);
  }

  writeDriverEvent(position: number, flags: number): void {
    Atomics.store(this.#u32, this.#driver, position | (flags << 16));
  }

  /** The device's event suppression structure, likewise. */
  deviceEvent(): number {
    return Atomics.load(this.#u32, this.#device);
  }

  writeDeviceEvent(position: number, flags: number): void {
    Atomics.store(this.#u32, this.#device, position | (flags << 16));
  }
}
