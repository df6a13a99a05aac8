import { FailurePlan, type FailureSchedule } from '@virtio-platform/core/failure';
import type { GuestMemory } from '@virtio-platform/core/memory';
import type { AmdIommuFacility } from './amd-facility.ts';
import { COMMAND_BASE_REG, COMMAND_HEAD_REG, COMMAND_TAIL_REG } from './amd-registers.ts';
import { ENTRY_BYTES, ENTRY_WORDS, EVERY_PAGE_HIGH, INVALIDATE_PAGES, OPERATION_SHIFT } from './command-format.ts';

const WORD = 0x1_0000_0000;
const PAGE = 4096;
const ENTRIES = PAGE / ENTRY_BYTES;

/**
 * Loses some invalidations of pages: the unit is not shown the new tail, so it executes nothing of the batch, and
 * nothing confirms it. It does so with the next batch that reaches it. Commands that drop everything always pass,
 * because the start of a unit needs them. Hot: no allocation.
 */
export class FailingAmdFacility implements AmdIommuFacility {
  readonly takeDenied?: () => readonly bigint[];
  readonly #inner: AmdIommuFacility;
  readonly #u32: Uint32Array;
  readonly #plan: FailurePlan;
  /** The first word of the command buffer. */
  #base = 0;
  /** In commands. */
  #tail = 0;

  constructor(inner: AmdIommuFacility, memory: GuestMemory, schedule: FailureSchedule) {
    this.#inner = inner;
    this.#u32 = memory.u32;
    this.#plan = new FailurePlan(schedule);
    if (inner.takeDenied !== undefined) this.takeDenied = () => inner.takeDenied!();
  }

  /** How many calls failed so far, by kind. */
  get failed(): Readonly<Record<string, number>> {
    return FailurePlan.failed({ invalidations: this.#plan });
  }

  get sourceId(): number {
    return this.#inner.sourceId;
  }

  read64(offset: number, words: Uint32Array): void {
    this.#inner.read64(offset, words);
  }

  write64(offset: number, low: number, high: number): void {
    if (offset === COMMAND_BASE_REG) this.#base = ((high % 2 ** 20) * WORD + low - (low % PAGE)) / 4;
    // The driver writes the head only where it empties the buffer.
    if (offset === COMMAND_HEAD_REG) this.#tail = low / ENTRY_BYTES;
    if (offset === COMMAND_TAIL_REG && this.#isLost(low / ENTRY_BYTES)) return;
    this.#inner.write64(offset, low, high);
  }

  readConfig(offset: number): number {
    return this.#inner.readConfig(offset);
  }

  writeConfig(offset: number, value: number): void {
    this.#inner.writeConfig(offset, value);
  }

  /** Whether one of the commands between the last tail and this one is lost. */
  #isLost(tail: number): boolean {
    let isLost = false;
    for (let at = this.#tail; at !== tail; at = (at + 1) % ENTRIES) {
      const word = this.#base + at * ENTRY_WORDS;
      const isSelective = this.#u32[word + 3] !== EVERY_PAGE_HIGH;
      if (this.#u32[word + 1]! >>> OPERATION_SHIFT === INVALIDATE_PAGES && isSelective && this.#plan.next())
        isLost = true;
    }
    this.#tail = tail;
    return isLost;
  }
}
