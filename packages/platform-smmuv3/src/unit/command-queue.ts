import type { GuestMemory } from '@virtio-platform/core/memory';
import { CMD_SYNC, COMMAND_WORDS } from './command-format.ts';
import type { SmmuFacility } from './smmu-facility.ts';
import {
  ALLOCATE_HINT,
  CMDQ_BASE,
  CMDQ_CONS,
  CMDQ_PROD,
  COMMAND_ERROR,
  COMMAND_ERROR_MASK,
  COMMAND_ERROR_SHIFT,
  GERROR,
  GERRORN,
} from './smmu-registers.ts';

const WORD = 0x1_0000_0000;
/** How often a register is read before the unit counts as stuck: real units need a few reads. */
export const POLLS = 1000;
/** log2 of the commands of a page. */
const MOST_BITS = 8;

/**
 * The command queue of a unit: at most a page of commands in guest memory, which the unit executes in their order. The
 * last of each batch is a CMD_SYNC, which is consumed once all before it are done. Positions have one bit more than the
 * queue needs, which changes with each lap. Hot: no allocation.
 */
export class CommandQueue {
  readonly #u32: Uint32Array;
  readonly #memory: GuestMemory;
  readonly #facility: SmmuFacility;
  readonly #bits: number;
  readonly #address: number;
  readonly #size: number;
  /** Of a position, with the bit of the lap. */
  readonly #mask: number;
  #prod = 0;
  /** The position of the unit when it was last known: it may be further. */
  #cons = 0;

  /**
   * `mostBits` is what the unit supports. Throws {@link DmaError} `ERR_DMA_EXHAUSTED`, and then nothing is allocated.
   */
  constructor(memory: GuestMemory, facility: SmmuFacility, mostBits: number) {
    this.#memory = memory;
    this.#u32 = memory.u32;
    this.#facility = facility;
    this.#bits = Math.min(mostBits, MOST_BITS);
    this.#size = 2 ** this.#bits;
    this.#mask = 2 * this.#size - 1;
    this.#address = memory.allocate(4 * COMMAND_WORDS * this.#size);
  }

  /** The most commands of a batch, beside its CMD_SYNC. */
  get most(): number {
    return this.#size - 1;
  }

  /** Gives the empty queue to the unit, which does not execute commands yet. */
  give(): void {
    const facility = this.#facility;
    this.#prod = this.#cons = 0;
    facility.write64(CMDQ_BASE, (this.#address % WORD) | this.#bits, Math.floor(this.#address / WORD) | ALLOCATE_HINT);
    facility.write32(CMDQ_PROD, 0);
    facility.write32(CMDQ_CONS, 0);
  }

  /** Called after the unit stopped. */
  free(): void {
    this.#memory.free(this.#address);
  }

  /**
   * Whether there is room for a batch of `count` commands and its CMD_SYNC. It is full only where the unit has stopped:
   * otherwise the last batch is done.
   */
  hasRoom(count: number): boolean {
    if (this.#free() > count) return true;
    this.#cons = this.#facility.read32(CMDQ_CONS) & this.#mask;
    return this.#free() > count;
  }

  /** Writes a command behind the others; the unit sees it with the next {@link submit}. A batch needs room. */
  append(first: number, second: number, third: number, fourth: number): void {
    this.#write(this.#prod, first, second, third, fourth);
    this.#prod = (this.#prod + 1) & this.#mask;
  }

  /**
   * Submits the batch and waits. Returns whether the unit executed all of it. Where it stops at a command, that is
   * replaced by a CMD_SYNC and the error acknowledged, so that the queue goes on; the batch counts as not done.
   */
  submit(): boolean {
    const facility = this.#facility;
    this.append(CMD_SYNC, 0, 0, 0);
    facility.write32(CMDQ_PROD, this.#prod);
    let wasStopped = false;
    for (let polls = 0; polls < POLLS; polls++) {
      const cons = facility.read32(CMDQ_CONS);
      this.#cons = cons & this.#mask;
      if (this.#cons === this.#prod) return !wasStopped;
      // The error stays in the register after it was acknowledged: GERROR says whether it is one of now.
      if (((cons >>> COMMAND_ERROR_SHIFT) & COMMAND_ERROR_MASK) !== 0) wasStopped = this.#repair() || wasStopped;
    }
    return false;
  }

  /** Returns whether the unit had stopped at the command that it is at. Cold. */
  #repair(): boolean {
    const errors = this.#facility.read32(GERROR) ^ this.#facility.read32(GERRORN);
    if ((errors & COMMAND_ERROR) === 0) return false;
    this.#write(this.#cons, CMD_SYNC, 0, 0, 0);
    this.#facility.write32(GERRORN, this.#facility.read32(GERRORN) ^ COMMAND_ERROR);
    return true;
  }

  #free(): number {
    return this.#size - ((this.#prod - this.#cons) & this.#mask);
  }

  #write(position: number, first: number, second: number, third: number, fourth: number): void {
    const word = this.#address / 4 + (position & (this.#size - 1)) * COMMAND_WORDS;
    const u32 = this.#u32;
    u32[word + 1] = second;
    u32[word + 2] = third;
    u32[word + 3] = fourth;
    Atomics.store(u32, word, first);
  }
}
