import type { GuestMemory } from '../memory/guest-memory.ts';
import { swap16, swap32 } from './byte-order.ts';
import { LittleEndianSplitRing, type SplitRing } from './split-ring.ts';

/**
 * The ring of a legacy device in a big-endian guest (specification 1.4 section 2.7.3): every field of a
 * {@link LittleEndianSplitRing} with its bytes swapped.
 */
export class BigEndianSplitRing implements SplitRing {
  readonly #ring: LittleEndianSplitRing;

  constructor(memory: GuestMemory, driver: number, device: number, size: number) {
    this.#ring = new LittleEndianSplitRing(memory, driver, device, size);
  }

  availIdx(): number {
    return swap16(this.#ring.availIdx());
  }

  publishAvailIdx(idx: number): void {
    this.#ring.publishAvailIdx(swap16(idx));
  }

  availEntry(slot: number): number {
    return swap16(this.#ring.availEntry(slot));
  }

  writeAvailEntry(slot: number, head: number): void {
    this.#ring.writeAvailEntry(slot, swap16(head));
  }

  availFlags(): number {
    return swap16(this.#ring.availFlags());
  }

  writeAvailFlags(flags: number): void {
    this.#ring.writeAvailFlags(swap16(flags));
  }

  usedEvent(): number {
    return swap16(this.#ring.usedEvent());
  }

  writeUsedEvent(idx: number): void {
    this.#ring.writeUsedEvent(swap16(idx));
  }

  usedIdx(): number {
    return swap16(this.#ring.usedIdx());
  }

  publishUsedIdx(idx: number): void {
    this.#ring.publishUsedIdx(swap16(idx));
  }

  usedId(slot: number): number {
    return swap32(this.#ring.usedId(slot));
  }

  usedLength(slot: number): number {
    return swap32(this.#ring.usedLength(slot));
  }

  writeUsedElement(slot: number, id: number, length: number): void {
    this.#ring.writeUsedElement(slot, swap32(id), swap32(length));
  }

  usedFlags(): number {
    return swap16(this.#ring.usedFlags());
  }

  writeUsedFlags(flags: number): void {
    this.#ring.writeUsedFlags(swap16(flags));
  }

  availEvent(): number {
    return swap16(this.#ring.availEvent());
  }

  writeAvailEvent(idx: number): void {
    this.#ring.writeAvailEvent(swap16(idx));
  }
}
