import { PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';
import type { AmdIommuFacility } from './amd-facility.ts';
import {
  COMMAND_BASE_REG,
  COMMAND_ENABLE,
  COMMAND_HEAD_REG,
  COMMAND_TAIL_REG,
  COMMANDS_RUN,
  LEAST_LENGTH,
  LENGTH_SHIFT,
} from './amd-registers.ts';
import { COMPLETION_WAIT, ENTRY_BYTES, ENTRY_WORDS, OPERATION_SHIFT, WAIT_STORES } from './command-format.ts';
import { POLLS, type UnitControl } from './unit-control.ts';

const WORD = 0x1_0000_0000;
const ENTRIES = PAGE_SIZE / ENTRY_BYTES;
/** The word that the unit stores to has a cache line of its own. */
const STORE_BYTES = 64;
/** Numbers stay small integers of the JavaScript engine. */
const SEQUENCE_MASK = 0x3fff_ffff;

/**
 * The command buffer of a unit: one page of commands in guest memory, which the unit executes in their order. The last
 * of each batch is a COMPLETION_WAIT that stores a number of its own once all before it is done. The unit owns the
 * commands between head and tail. Hot: no allocation.
 */
export class CommandBuffer {
  readonly #memory: GuestMemory;
  readonly #facility: AmdIommuFacility;
  readonly #control: UnitControl;
  readonly #words = new Uint32Array(2);
  readonly #address: number;
  readonly #store: number;
  /** In commands, as the head. */
  #tail = 0;
  /** The head when it was last known: the unit may be further. */
  #head = 0;
  #sequence = 0;

  /** Throws {@link DmaError} `ERR_DMA_EXHAUSTED`, and then nothing is allocated. */
  constructor(memory: GuestMemory, facility: AmdIommuFacility, control: UnitControl) {
    this.#memory = memory;
    this.#facility = facility;
    this.#control = control;
    this.#address = memory.allocate(PAGE_SIZE, PAGE_SIZE);
    try {
      this.#store = memory.allocate(STORE_BYTES, STORE_BYTES);
    } catch (error) {
      memory.free(this.#address);
      throw error;
    }
  }

  /** Tells the unit, while it fetches nothing, where the empty buffer is. */
  prepare(): void {
    const { u8, u32 } = this.#memory;
    u8.fill(0, this.#address, this.#address + PAGE_SIZE);
    Atomics.store(u32, this.#store / 4, 0);
    this.#sequence = 0;
    const base = Math.floor(this.#address / WORD) + LEAST_LENGTH * 2 ** LENGTH_SHIFT;
    this.#facility.write64(COMMAND_BASE_REG, this.#address % WORD, base);
    this.#empty();
  }

  /** Takes the buffer from the unit. Returns whether that is confirmed. */
  disable(): boolean {
    return this.#control.switch(COMMAND_ENABLE, COMMANDS_RUN, false);
  }

  /** Frees the buffer, which the unit does not know any more. */
  free(): void {
    this.#memory.free(this.#address);
    this.#memory.free(this.#store);
  }

  /**
   * Whether there is room for a batch of `count` commands and its COMPLETION_WAIT. It is full only where the unit has
   * not executed them: otherwise the last batch is done. So the unit is shown the tail once more, which it may have
   * missed.
   */
  hasRoom(count: number): boolean {
    if (this.#free() > count) return true;
    this.#showTail();
    this.#head = this.#readHead();
    return this.#free() > count;
  }

  /** Writes a command behind the others; the unit sees it with the next {@link submit}. A batch needs room. */
  append(operation: number, first: number, second: number, third: number, fourth: number): void {
    const { u32 } = this.#memory;
    const word = this.#address / 4 + this.#tail * ENTRY_WORDS;
    u32[word + 1] = (operation << OPERATION_SHIFT) | second;
    u32[word + 2] = third;
    u32[word + 3] = fourth;
    Atomics.store(u32, word, first);
    this.#tail = this.#tail + 1 === ENTRIES ? 0 : this.#tail + 1;
  }

  /**
   * Submits the batch and waits. Returns whether the unit executed all of it. A unit that stopped at a command is
   * started again with an empty buffer, so nothing of the batch counts as done.
   */
  submit(): boolean {
    const sequence = (this.#sequence + 1) & SEQUENCE_MASK;
    const store = this.#store;
    this.#sequence = sequence;
    this.append(COMPLETION_WAIT, (store % WORD) | WAIT_STORES, Math.floor(store / WORD), sequence, 0);
    this.#showTail();
    const { u32 } = this.#memory;
    for (let polls = 0; polls < POLLS; polls++) {
      if (Atomics.load(u32, store / 4) === sequence) {
        this.#head = this.#tail;
        return true;
      }
      if (!this.#control.hasStatus(COMMANDS_RUN)) {
        this.#restart();
        return false;
      }
    }
    return false;
  }

  /** Discards the commands of a unit that stopped, and has it execute again: clears and sets CmdBufEn. Cold. */
  #restart(): void {
    if (!this.disable()) return;
    this.#empty();
    this.#control.switch(COMMAND_ENABLE, COMMANDS_RUN, true);
  }

  #showTail(): void {
    this.#facility.write64(COMMAND_TAIL_REG, this.#tail * ENTRY_BYTES, 0);
  }

  #empty(): void {
    this.#tail = this.#head = 0;
    this.#facility.write64(COMMAND_HEAD_REG, 0, 0);
    this.#facility.write64(COMMAND_TAIL_REG, 0, 0);
  }

  /** The head by the unit; -1 where it is on none of the commands. */
  #readHead(): number {
    this.#facility.read64(COMMAND_HEAD_REG, this.#words);
    const head = this.#words[0]! / ENTRY_BYTES;
    return this.#words[1] === 0 && Number.isInteger(head) && head < ENTRIES ? head : -1;
  }

  /** One place stays free, so that a full buffer is not an empty one. A head outside of it leaves no room. */
  #free(): number {
    if (this.#head < 0) return 0;
    const used = this.#tail - this.#head;
    return ENTRIES - 1 - (used < 0 ? used + ENTRIES : used);
  }
}
