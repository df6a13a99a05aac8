import type { SplitRing } from './split-ring.ts';

/**
 * A split ring whose ordered accesses are also ordered as a device sees them, which ORDER_PLATFORM demands (specification 1.4
 * sections 2.7.13.3.1, 2.7.13.4.1 and 6): a barrier before and after each index that is published, behind each that is read, and
 * behind each request for a notification. Hot: no allocation.
 */
export class OrderedSplitRing implements SplitRing {
  readonly #ring: SplitRing;
  readonly #barrier: () => void;

  constructor(ring: SplitRing, barrier: () => void) {
    this.#ring = ring;
    this.#barrier = barrier;
  }

  availIdx(): number {
    const idx = this.#ring.availIdx();
    this.#barrier();
    return idx;
  }

  publishAvailIdx(idx: number): void {
    this.#barrier();
    this.#ring.publishAvailIdx(idx);
    this.#barrier();
  }

  availEntry(slot: number): number {
    return this.#ring.availEntry(slot);
  }

  writeAvailEntry(slot: number, head: number): void {
    this.#ring.writeAvailEntry(slot, head);
  }

  availFlags(): number {
    return this.#ring.availFlags();
  }

  writeAvailFlags(flags: number): void {
    this.#ring.writeAvailFlags(flags);
    this.#barrier();
  }

  usedEvent(): number {
    return this.#ring.usedEvent();
  }

  writeUsedEvent(idx: number): void {
    this.#ring.writeUsedEvent(idx);
    this.#barrier();
  }

  usedIdx(): number {
    const idx = this.#ring.usedIdx();
    this.#barrier();
    return idx;
  }

  publishUsedIdx(idx: number): void {
    this.#barrier();
    this.#ring.publishUsedIdx(idx);
    this.#barrier();
  }

  usedId(slot: number): number {
    return this.#ring.usedId(slot);
  }

  usedLength(slot: number): number {
    return this.#ring.usedLength(slot);
  }

  writeUsedElement(slot: number, id: number, length: number): void {
    this.#ring.writeUsedElement(slot, id, length);
  }

  usedFlags(): number {
    return this.#ring.usedFlags();
  }

  writeUsedFlags(flags: number): void {
    this.#ring.writeUsedFlags(flags);
    this.#barrier();
  }

  availEvent(): number {
    return this.#ring.availEvent();
  }

  writeAvailEvent(idx: number): void {
    this.#ring.writeAvailEvent(idx);
    this.#barrier();
  }
}
