import type { GuestMemory } from '../memory/guest-memory.ts';

/**
 * Access to the available and used rings of a split virtqueue, for both ends. Each field is one aligned load or store; the indices and the
 * fields that suppress notifications are ordered (sequentially consistent), which also gives the full barriers of
 * specification 1.4 sections 2.7.13.3.1 and 2.7.13.4.1. Chosen once per queue, by byte order. Hot: no allocation.
 */
export interface SplitRing {
  availIdx(): number;
  publishAvailIdx(idx: number): void;
  availEntry(slot: number): number;
  writeAvailEntry(slot: number, head: number): void;
  availFlags(): number;
  writeAvailFlags(flags: number): void;
  usedEvent(): number;
  writeUsedEvent(idx: number): void;

  usedIdx(): number;
  publishUsedIdx(idx: number): void;
  usedId(slot: number): number;
  usedLength(slot: number): number;
  writeUsedElement(slot: number, id: number, length: number): void;
  usedFlags(): number;
  writeUsedFlags(flags: number): void;
  availEvent(): number;
  writeAvailEvent(idx: number): void;
}

/** The byte order of the modern interface, and of legacy devices in a little-endian guest. */
export class LittleEndianSplitRing implements SplitRing {
  readonly #u16: Uint16Array;
  readonly #u32: Uint32Array;
  readonly #avail: number;
  readonly #used16: number;
  readonly #used32: number;
  readonly #usedEvent: number;
  readonly #availEvent: number;

  constructor(memory: GuestMemory, driver: number, device: number, size: number) {
    this.#u16 = memory.u16;
    this.#u32 = memory.u32;
    this.#avail = driver / 2;
    this.#used16 = device / 2;
    this.#used32 = device / 4 + 1;
    this.#usedEvent = this.#avail + 2 + size;
    this.#availEvent = this.#used16 + 2 + 4 * size;
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
