import { FailurePlan, type FailureSchedule } from '@virtio-platform/core/failure';
import type { GuestMemory } from '@virtio-platform/core/memory';
import {
  DESCRIPTOR_GRANULARITY_SHIFT,
  DESCRIPTOR_TYPE_MASK,
  IOTLB_DESCRIPTOR,
  IQA_REG,
  IQT_REG,
  QUEUE_SIZE_MASK,
  TIMEOUT_ERROR,
  WIDE_DESCRIPTORS,
} from './queue-format.ts';
import type { VtdFacility } from './vtd-facility.ts';
import { FSTS_REG, GLOBAL, GRANULARITY_MASK } from './vtd-registers.ts';

const WORD = 0x1_0000_0000;
const PAGE = 4096;
/** A type that no unit knows. */
const UNKNOWN_TYPE = 0xe;
const NO_STATUS = 0x7fff_ffff;

/** Which invalidations a queue loses. */
export interface QueueFailures {
  /** Descriptors that the unit cannot execute. */
  readonly invalidation: FailureSchedule;
  /** Batches that the unit gives up, as after a device that does not answer. */
  readonly timeout: FailureSchedule;
}

/**
 * Loses some invalidations of pages and of domains on their way through an invalidation queue, in one of the two ways
 * in which a unit refuses. It spoils the descriptor in memory, so that the unit behind it, simulated or not, really
 * stops there. Or it takes the effect of the whole batch away and shows the error of a unit that gave up. Global
 * invalidations always pass, because the start of a unit needs one. Hot: no allocation.
 */
export class FailingInvalidationQueue implements VtdFacility {
  readonly #inner: VtdFacility;
  readonly #u32: Uint32Array;
  readonly #spoils: FailurePlan;
  readonly #givesUp: FailurePlan;
  /** The queue as the driver gave it: its first word, the words of a descriptor, and those of the queue. */
  #base = 0;
  #descriptorWords = 4;
  #words = PAGE / 4;
  /** In words from the start of the queue. */
  #tail = 0;
  #hasTimedOut = false;

  constructor(inner: VtdFacility, memory: GuestMemory, { invalidation, timeout }: QueueFailures) {
    this.#inner = inner;
    this.#u32 = memory.u32;
    this.#spoils = new FailurePlan(invalidation);
    this.#givesUp = new FailurePlan(timeout);
  }

  /** How many calls failed so far, by kind. */
  get failed(): Readonly<Record<string, number>> {
    return FailurePlan.failed({ invalidations: this.#spoils, 'invalidations given up': this.#givesUp });
  }

  get sourceId(): number {
    return this.#inner.sourceId;
  }

  read32(offset: number): number {
    const value = this.#inner.read32(offset);
    return offset === FSTS_REG && this.#hasTimedOut ? value | TIMEOUT_ERROR : value;
  }

  write32(offset: number, value: number): void {
    if (offset === FSTS_REG && (value & TIMEOUT_ERROR) !== 0) this.#hasTimedOut = false;
    this.#inner.write32(offset, value);
  }

  read64(offset: number, words: Uint32Array): void {
    this.#inner.read64(offset, words);
  }

  write64(offset: number, low: number, high: number): void {
    if (offset === IQA_REG) this.#watch(low, high);
    if (offset === IQT_REG) this.#submit(low / 4);
    this.#inner.write64(offset, low, high);
  }

  #watch(low: number, high: number): void {
    this.#base = (high * WORD + low - (low % PAGE)) / 4;
    this.#descriptorWords = (low & WIDE_DESCRIPTORS) === 0 ? 4 : 8;
    this.#words = (PAGE / 4) << (low & QUEUE_SIZE_MASK);
    this.#tail = 0;
  }

  /** Looks at what is new between the last tail and this one. */
  #submit(tail: number): void {
    const first = this.#tail;
    for (let at = first; at !== tail; at = this.#next(at)) {
      const word = this.#u32[this.#base + at]!;
      if (!isSelective(word)) continue;
      if (this.#spoils.next()) this.#u32[this.#base + at] = (word & ~DESCRIPTOR_TYPE_MASK) | UNKNOWN_TYPE;
      else if (this.#givesUp.next()) this.#giveUp(first, tail);
    }
    this.#tail = tail;
  }

  /** Makes each descriptor of a batch the wait descriptor at its end, with a status that no batch waits for. */
  #giveUp(first: number, tail: number): void {
    const last = this.#base + ((tail - this.#descriptorWords + this.#words) % this.#words);
    for (let at = first; at !== tail; at = this.#next(at)) {
      this.#u32.copyWithin(this.#base + at, last, last + this.#descriptorWords);
      this.#u32[this.#base + at + 1] = NO_STATUS;
    }
    this.#hasTimedOut = true;
  }

  #next(at: number): number {
    return (at + this.#descriptorWords) % this.#words;
  }
}

function isSelective(word: number): boolean {
  const granularity = (word >>> DESCRIPTOR_GRANULARITY_SHIFT) & GRANULARITY_MASK;
  return (word & DESCRIPTOR_TYPE_MASK) === IOTLB_DESCRIPTOR && granularity !== GLOBAL;
}
