import type { GuestMemory } from '../../memory/guest-memory.ts';
import type { UsedEntries } from '../ring/used-entries.ts';
import { swap16, swap32, type ByteOrder } from '../ring/ring-format.ts';

/**
 * Access to the available and used rings of a split virtqueue, for both ends. Each field is one aligned load or store.
 * The indices and the fields that suppress notifications are ordered (sequentially consistent), which also gives the
 * full barriers of specification 1.4 sections 2.7.13.3.1 and 2.7.13.4.1. This class has the byte order of the modern
 * interface, and of legacy devices in a little-endian guest; {@link openSplitRing} chooses the order once per queue.
 * Hot: no allocation.
 */
export class SplitRing implements UsedEntries {
  readonly #u16: Uint16Array;
  readonly #u32: Uint32Array;
  readonly #avail: number;
  readonly #used16: number;
  readonly #used32: number;
  readonly #usedEvent: number;
  readonly #availEvent: number;
  readonly #mask: number;

  /**
   * The available ring is at byte `driver` of guest memory, the used ring at byte `device`; the queue has `size`
   * entries.
   */
  constructor(memory: GuestMemory, driver: number, device: number, size: number) {
    this.#u16 = memory.u16;
    this.#u32 = memory.u32;
    this.#avail = driver / 2;
    this.#used16 = device / 2;
    this.#used32 = device / 4 + 1;
    this.#usedEvent = this.#avail + 2 + size;
    this.#availEvent = this.#used16 + 2 + 4 * size;
    this.#mask = size - 1;
  }

  availIdx(): number {
    return Atomics.load(this.#u16, this.#avail + 1);
  }

  publishAvailIdx(idx: number): void {
    Atomics.store(this.#u16, this.#avail + 1, idx);
  }

  availEntry(slot: number): number {
    return this.#u16[this.#avail + 2 + slot]!;
  }

  writeAvailEntry(slot: number, head: number): void {
    this.#u16[this.#avail + 2 + slot] = head;
  }

  availFlags(): number {
    return Atomics.load(this.#u16, this.#avail);
  }

  writeAvailFlags(flags: number): void {
    Atomics.store(this.#u16, this.#avail, flags);
  }

  usedEvent(): number {
    return Atomics.load(this.#u16, this.#usedEvent);
  }

  writeUsedEvent(idx: number): void {
    Atomics.store(this.#u16, this.#usedEvent, idx);
  }

  usedIdx(): number {
    return Atomics.load(this.#u16, this.#used16 + 1);
  }

  publishUsedIdx(idx: number): void {
    Atomics.store(this.#u16, this.#used16 + 1, idx);
  }

  usedId(slot: number): number {
    return this.#u32[this.#used32 + slot * 2]!;
  }

  usedLength(slot: number): number {
    return this.#u32[this.#used32 + slot * 2 + 1]!;
  }

  isUsed(_position: number): boolean {
    return true;
  }

  usedIdAt(position: number): number {
    return this.usedId(position & this.#mask);
  }

  usedLengthAt(position: number): number {
    return this.usedLength(position & this.#mask);
  }

  positionBehind(position: number, _slots: number): number {
    return position + 1;
  }

  writeUsedElement(slot: number, id: number, length: number): void {
    this.#u32[this.#used32 + slot * 2] = id;
    this.#u32[this.#used32 + slot * 2 + 1] = length;
  }

  usedFlags(): number {
    return Atomics.load(this.#u16, this.#used16);
  }

  writeUsedFlags(flags: number): void {
    Atomics.store(this.#u16, this.#used16, flags);
  }

  availEvent(): number {
    return Atomics.load(this.#u16, this.#availEvent);
  }

  writeAvailEvent(idx: number): void {
    Atomics.store(this.#u16, this.#availEvent, idx);
  }
}

/**
 * The ring of a legacy device in a big-endian guest (specification 1.4 section 2.7.3): every field has its bytes
 * swapped.
 */
class BigEndianSplitRing extends SplitRing {
  override availIdx(): number {
    return swap16(super.availIdx());
  }

  override publishAvailIdx(idx: number): void {
    super.publishAvailIdx(swap16(idx));
  }

  override availEntry(slot: number): number {
    return swap16(super.availEntry(slot));
  }

  override writeAvailEntry(slot: number, head: number): void {
    super.writeAvailEntry(slot, swap16(head));
  }

  override availFlags(): number {
    return swap16(super.availFlags());
  }

  override writeAvailFlags(flags: number): void {
    super.writeAvailFlags(swap16(flags));
  }

  override usedEvent(): number {
    return swap16(super.usedEvent());
  }

  override writeUsedEvent(idx: number): void {
    super.writeUsedEvent(swap16(idx));
  }

  override usedIdx(): number {
    return swap16(super.usedIdx());
  }

  override publishUsedIdx(idx: number): void {
    super.publishUsedIdx(swap16(idx));
  }

  override usedId(slot: number): number {
    return swap32(super.usedId(slot));
  }

  override usedLength(slot: number): number {
    return swap32(super.usedLength(slot));
  }

  override writeUsedElement(slot: number, id: number, length: number): void {
    super.writeUsedElement(slot, swap32(id), swap32(length));
  }

  override usedFlags(): number {
    return swap16(super.usedFlags());
  }

  override writeUsedFlags(flags: number): void {
    super.writeUsedFlags(swap16(flags));
  }

  override availEvent(): number {
    return swap16(super.availEvent());
  }

  override writeAvailEvent(idx: number): void {
    super.writeAvailEvent(swap16(idx));
  }
}

/**
 * Opens the available ring at byte `driver` and the used ring at byte `device` of guest memory, for a queue of `size`.
 */
export function openSplitRing(
  order: ByteOrder,
  memory: GuestMemory,
  driver: number,
  device: number,
  size: number,
): SplitRing {
  return order === 'little'
    ? new SplitRing(memory, driver, device, size)
    : new BigEndianSplitRing(memory, driver, device, size);
}
