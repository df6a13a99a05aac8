import { INTERRUPT_GENERATION, INTERRUPT_SLOT_WORDS, INTERRUPT_SLOTS, type VtdState } from './vtd-state.ts';

/**
 * The interrupt entries that a simulated unit has cached: the device's thread fills, the driver's thread drops. As long
 * as one is not dropped it stays in use, whatever the table says.
 */
export class InterruptCache {
  readonly #control: Int32Array;
  readonly #slots: Int32Array;

  constructor(state: VtdState) {
    this.#control = new Int32Array(state.control);
    this.#slots = new Int32Array(state.interruptEntries);
  }

  /** What {@link fill} compares: a drop meanwhile applies to what was just read. */
  get generation(): number {
    return Atomics.load(this.#control, INTERRUPT_GENERATION);
  }

  /** Loads the first words of an entry. Returns whether it is cached. */
  find(index: number, words: Uint32Array): boolean {
    const slots = this.#slots;
    const at = (index % INTERRUPT_SLOTS) * INTERRUPT_SLOT_WORDS;
    if (Atomics.load(slots, at) !== index + 1) return false;
    for (let word = 0; word < words.length; word++) words[word] = slots[at + 1 + word]!;
    return true;
  }

  /** Caches the first words of an entry, which were read at `generation`. */
  fill(index: number, words: Uint32Array, generation: number): void {
    const slots = this.#slots;
    const at = (index % INTERRUPT_SLOTS) * INTERRUPT_SLOT_WORDS;
    for (let word = 0; word < words.length; word++) slots[at + 1 + word] = words[word]!;
    Atomics.store(slots, at, index + 1);
    if (generation !== this.generation) Atomics.store(slots, at, 0);
  }

  /** Drops the naturally aligned `2 ** mask` entries around an index. */
  drop(index: number, mask: number): void {
    Atomics.add(this.#control, INTERRUPT_GENERATION, 1);
    for (let at = 0; at < this.#slots.length; at += INTERRUPT_SLOT_WORDS) {
      const cached = Atomics.load(this.#slots, at) - 1;
      if (cached >= 0 && cached >>> mask === index >>> mask) Atomics.store(this.#slots, at, 0);
    }
  }

  /** Drops every entry. */
  dropAll(): void {
    Atomics.add(this.#control, INTERRUPT_GENERATION, 1);
    for (let at = 0; at < this.#slots.length; at += INTERRUPT_SLOT_WORDS) Atomics.store(this.#slots, at, 0);
  }
}
