import { PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';
import type { GlobalCommands } from './global-commands.ts';
import {
  COMPATIBILITY_FORMAT_ENABLE,
  INTERRUPT_REMAPPING_ENABLE,
  IRTA_REG,
  SET_INTERRUPT_TABLE,
} from './interrupt-format.ts';
import type { QueuedInvalidation } from './queued-invalidation.ts';
import { unresponsive, type VtdFacility } from './vtd-facility.ts';

const WORD = 0x1_0000_0000;
/** log2 of the entries of a page, less one. Linux has 65536 entries. */
const SIZE_CODE = 7;

/**
 * Interrupt remapping of a unit, with a table of 256 entries in guest memory. The driver writes none of them: no
 * machine here has an interrupt controller, and devices write their messages to memory that is mapped for them. So the
 * unit blocks each interrupt that names an entry, but for those of a former owner, which are taken over.
 */
export class InterruptRemapping {
  readonly #memory: GuestMemory;
  readonly #facility: VtdFacility;
  readonly #commands: GlobalCommands;
  readonly #queue: QueuedInvalidation;
  readonly #table: number;

  /** `queue` drops cached entries. Throws {@link DmaError} `ERR_DMA_EXHAUSTED`, and then nothing is allocated. */
  constructor(memory: GuestMemory, facility: VtdFacility, commands: GlobalCommands, queue: QueuedInvalidation) {
    this.#memory = memory;
    this.#facility = facility;
    this.#commands = commands;
    this.#queue = queue;
    this.#table = memory.allocate(PAGE_SIZE, PAGE_SIZE);
  }

  /**
   * Gives the table to the unit, once the queue is enabled. `former` has the words of the entries with which the unit
   * remaps now; without it none is present, and remapping is off. Throws {@link DmaError} `ERR_IOMMU_UNRESPONSIVE`.
   */
  enable(former?: Uint32Array): void {
    const { u8, u32 } = this.#memory;
    u8.fill(0, this.#table, this.#table + PAGE_SIZE);
    if (former !== undefined) u32.set(former, this.#table / 4);
    this.#facility.write64(IRTA_REG, (this.#table % WORD) + SIZE_CODE, Math.floor(this.#table / WORD));
    this.#commands.command('set the interrupt remapping table', SET_INTERRUPT_TABLE, true);
    if (!this.#queue.invalidateInterrupts())
      throw unresponsive('the first invalidation of all interrupt entries was not confirmed');
    this.#commands.command('enable interrupt remapping', INTERRUPT_REMAPPING_ENABLE, true);
    this.#commands.command('block interrupts in compatibility format', COMPATIBILITY_FORMAT_ENABLE, false);
  }

  /**
   * Takes the table from the unit, while the queue is enabled. As in Linux (`iommu_disable_irq_remapping`) remapping is
   * disabled also where the unit does not confirm that it dropped the entries. Returns whether both are confirmed.
   */
  disable(): boolean {
    const isDropped = this.#queue.invalidateInterrupts();
    return this.#commands.isDone(INTERRUPT_REMAPPING_ENABLE, false) && isDropped;
  }

  free(): void {
    this.#memory.free(this.#table);
  }
}
