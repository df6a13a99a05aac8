import { PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';
import { POLLS, type GlobalCommands } from './global-commands.ts';
import {
  IQA_REG,
  IQH_REG,
  IQT_REG,
  QUEUE_ERROR,
  QUEUE_ERRORS,
  WAIT_DESCRIPTOR,
  WAIT_WRITES_STATUS,
  WIDE_DESCRIPTORS,
} from './queue-format.ts';
import type { VtdFacility } from './vtd-facility.ts';
import { FSTS_REG, QUEUED_INVALIDATION_ENABLE } from './vtd-registers.ts';

const WORD = 0x1_0000_0000;
const DESCRIPTOR_BYTES = 16;
const WIDE_BYTES = 32;
/** The status word has a cache line of its own. */
const STATUS_BYTES = 64;
/** Values of the status stay small integers of the JavaScript engine. */
const SEQUENCE_MASK = 0x3fff_ffff;
/** A status that no batch waits for. */
const NO_SEQUENCE = 0x4000_0000;

/**
 * The invalidation queue of a unit: one page of descriptors in guest memory, which the unit executes in their order.
 * The last of each batch is a wait descriptor that writes a number of its own to memory once all before it is done. The
 * unit owns the descriptors between head and tail. Hot: no allocation.
 */
export class InvalidationQueue {
  readonly #memory: GuestMemory;
  readonly #facility: VtdFacility;
  readonly #commands: GlobalCommands;
  readonly #words = new Uint32Array(2);
  readonly #descriptorBytes: number;
  readonly #address: number;
  readonly #status: number;
  /** In descriptors, like all below. */
  readonly #size: number;
  #tail = 0;
  /** The head when it was last known: the unit may be further. */
  #head = 0;
  #sequence = 0;

  /** `wide` descriptors have 256 bits. Throws {@link DmaError} `ERR_DMA_EXHAUSTED`, and then nothing is allocated. */
  constructor(memory: GuestMemory, facility: VtdFacility, commands: GlobalCommands, wide: boolean) {
    this.#memory = memory;
    this.#facility = facility;
    this.#commands = commands;
    this.#descriptorBytes = wide ? WIDE_BYTES : DESCRIPTOR_BYTES;
    this.#size = PAGE_SIZE / this.#descriptorBytes;
    this.#address = memory.allocate(PAGE_SIZE);
    try {
      this.#status = memory.allocate(STATUS_BYTES, STATUS_BYTES);
    } catch (error) {
      memory.free(this.#address);
      throw error;
    }
  }

  /** Gives the empty queue to the unit. Throws {@link DmaError} `ERR_IOMMU_UNRESPONSIVE`. */
  enable(): void {
    const { u8, u32 } = this.#memory;
    u8.fill(0, this.#address, this.#address + PAGE_SIZE);
    Atomics.store(u32, this.#status / 4, 0);
    this.#tail = this.#head = this.#sequence = 0;
    const width = this.#descriptorBytes === WIDE_BYTES ? WIDE_DESCRIPTORS : 0;
    this.#facility.write32(FSTS_REG, QUEUE_ERRORS);
    this.#facility.write64(IQT_REG, 0, 0);
    this.#facility.write64(IQA_REG, (this.#address % WORD) + width, Math.floor(this.#address / WORD));
    this.#commands.command('enable queued invalidation', QUEUED_INVALIDATION_ENABLE, true);
  }

  /** Takes the queue from the unit. Returns whether that is confirmed. */
  disable(): boolean {
    return this.#commands.isDone(QUEUED_INVALIDATION_ENABLE, false);
  }

  free(): void {
    this.#memory.free(this.#address);
    this.#memory.free(this.#status);
  }

  /**
   * Whether there is room for a batch of `count` descriptors and its wait descriptor. It is full only where the unit
   * has stopped: otherwise the last batch is done.
   */
  hasRoom(count: number): boolean {
    if (this.#free() > count) return true;
    this.#head = this.#readHead();
    return this.#free() > count;
  }

  /** Writes a descriptor behind the others; the unit sees it with the next {@link submit}. A batch needs room. */
  append(first: number, second: number, third: number, fourth: number): void {
    this.#write(this.#tail, first, second, third, fourth);
    this.#tail = this.#next(this.#tail);
  }

  /**
   * Submits the batch and waits. Returns whether the unit executed all of it. Where it stops at a descriptor, that is
   * replaced by a wait descriptor whose status says nothing, so that the queue goes on; where it gives a batch up, the
   * batch was not done.
   */
  submit(): boolean {
    const sequence = (this.#sequence + 1) & SEQUENCE_MASK;
    this.#sequence = sequence;
    this.#writeWait(this.#tail, sequence);
    this.#tail = this.#next(this.#tail);
    this.#facility.write64(IQT_REG, this.#tail * this.#descriptorBytes, 0);
    const { u32 } = this.#memory;
    let wasStopped = false;
    for (let polls = 0; polls < POLLS; polls++) {
      if (Atomics.load(u32, this.#status / 4) === sequence) {
        this.#head = this.#tail;
        return !wasStopped;
      }
      // The read also waits for what was posted to the unit.
      const errors = this.#facility.read32(FSTS_REG) & QUEUE_ERRORS;
      if (errors !== 0) {
        wasStopped = true;
        if (!this.#repair(errors)) return false;
      } else if (wasStopped && this.#readHead() === this.#tail) {
        this.#head = this.#tail;
        return false;
      }
    }
    return false;
  }

  /** Clears what stopped the unit, and shows it the tail again. Returns false where the head is no descriptor. Cold. */
  #repair(errors: number): boolean {
    if ((errors & QUEUE_ERROR) !== 0) {
      const head = this.#readHead();
      if (head < 0) return false;
      this.#writeWait(head, NO_SEQUENCE);
    }
    this.#facility.write32(FSTS_REG, errors);
    this.#facility.write64(IQT_REG, this.#tail * this.#descriptorBytes, 0);
    return true;
  }

  /** The head by the unit; -1 where it is in none of the descriptors. */
  #readHead(): number {
    this.#facility.read64(IQH_REG, this.#words);
    const head = this.#words[0]! / this.#descriptorBytes;
    return this.#words[1] === 0 && Number.isInteger(head) && head < this.#size ? head : -1;
  }

  /** One place stays free, so that a full queue is not an empty one. A head outside of the queue leaves no room. */
  #free(): number {
    if (this.#head < 0) return 0;
    const used = this.#tail - this.#head;
    return this.#size - 1 - (used < 0 ? used + this.#size : used);
  }

  #next(at: number): number {
    return at + 1 === this.#size ? 0 : at + 1;
  }

  #writeWait(at: number, sequence: number): void {
    const status = this.#status;
    this.#write(at, WAIT_DESCRIPTOR | WAIT_WRITES_STATUS, sequence, status % WORD, Math.floor(status / WORD));
  }

  #write(at: number, first: number, second: number, third: number, fourth: number): void {
    const { u32 } = this.#memory;
    const word = (this.#address + at * this.#descriptorBytes) / 4;
    u32[word + 1] = second;
    u32[word + 2] = third;
    u32[word + 3] = fourth;
    Atomics.store(u32, word, first);
  }
}
