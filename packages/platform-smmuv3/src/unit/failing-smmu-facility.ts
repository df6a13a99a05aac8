import { FailurePlan, type FailureSchedule } from '@virtio-platform/core/failure';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { COMMAND_WORDS, OPCODE_MASK, TLBI_NH_ASID, TLBI_NH_VA } from './command-format.ts';
import type { SmmuFacility } from './smmu-facility.ts';
import { CMDQ_BASE, CMDQ_PROD } from './smmu-registers.ts';

const WORD = 0x1_0000_0000;
/** An opcode that no unit knows. */
const UNKNOWN = 0xff;
const BASE_FLAGS = 0x1f;
const HIGH_ADDRESS = 0x000f_ffff;

/**
 * Loses some invalidations of pages and of ASIDs on their way through the command queue: it spoils the command in
 * memory, so that the unit behind it, simulated or not, really stops there. Invalidations of everything always pass,
 * because the start of a unit needs one. Hot: no allocation.
 */
export class FailingSmmuFacility implements SmmuFacility {
  readonly #inner: SmmuFacility;
  readonly #u32: Uint32Array;
  readonly #plan: FailurePlan;
  /** The queue as the driver gave it: its first word, and its commands. */
  #base = 0;
  #size = 1;
  #prod = 0;

  constructor(inner: SmmuFacility, memory: GuestMemory, schedule: FailureSchedule) {
    this.#inner = inner;
    this.#u32 = memory.u32;
    this.#plan = new FailurePlan(schedule);
  }

  /** How many calls failed so far, by kind. */
  get failed(): Readonly<Record<string, number>> {
    return FailurePlan.failed({ invalidations: this.#plan });
  }

  get streamId(): number {
    return this.#inner.streamId;
  }

  get isolatedMsi(): boolean | undefined {
    return this.#inner.isolatedMsi;
  }

  read32(offset: number): number {
    return this.#inner.read32(offset);
  }

  write32(offset: number, value: number): void {
    if (offset === CMDQ_PROD) this.#submit(value);
    this.#inner.write32(offset, value);
  }

  write64(offset: number, low: number, high: number): void {
    if (offset === CMDQ_BASE) {
      this.#base = ((high & HIGH_ADDRESS) * WORD + low - (low & BASE_FLAGS)) / 4;
      this.#size = 2 ** (low & BASE_FLAGS);
      this.#prod = 0;
    }
    this.#inner.write64(offset, low, high);
  }

  /** Looks at what is new between the last position of the driver and this one. */
  #submit(prod: number): void {
    for (let left = this.#size; left > 0 && this.#prod !== prod; left--) {
      const at = this.#base + (this.#prod & (this.#size - 1)) * COMMAND_WORDS;
      const opcode = this.#u32[at]! & OPCODE_MASK;
      const isSelective = opcode === TLBI_NH_VA || opcode === TLBI_NH_ASID;
      if (isSelective && this.#plan.next()) this.#u32[at] = UNKNOWN;
      this.#prod = (this.#prod + 1) & (2 * this.#size - 1);
    }
    this.#prod = prod;
  }
}
