import { unresponsive, type VtdFacility } from './vtd-facility.ts';
import { GCMD_REG, GSTS_REG, LASTING_STATUS, WRITE_BUFFER_FLUSH } from './vtd-registers.ts';

/** How often a register is read before a command counts as failed: real units need a few reads. */
export const POLLS = 1000;

/**
 * The global command register of a unit: a command counts as done when the global status shows it. Each wait is
 * bounded.
 */
export class GlobalCommands {
  readonly #facility: VtdFacility;

  constructor(facility: VtdFacility) {
    this.#facility = facility;
  }

  /** Whether the status has a bit, or one of several. */
  isOn(bit: number): boolean {
    return (this.#facility.read32(GSTS_REG) & bit) !== 0;
  }

  /** Gives a command. Throws {@link DmaError} `ERR_IOMMU_UNRESPONSIVE` where the status does not show it. */
  command(what: string, bit: number, on: boolean): void {
    if (!this.isDone(bit, on)) throw unresponsive(`it did not ${what}`);
  }

  /** Gives a command and waits until the status shows it. Skips disabling what is disabled. */
  isDone(bit: number, on: boolean): boolean {
    const status = this.#facility.read32(GSTS_REG);
    if (!on && (status & bit) === 0) return true;
    const others = this.#lasting();
    this.#facility.write32(GCMD_REG, on ? (others | bit) >>> 0 : (others & ~bit) >>> 0);
    return this.#hasStatus(bit, on);
  }

  /** Flushes the write buffer of an old unit. Hot: no allocation. */
  flushWriteBuffer(): boolean {
    this.#facility.write32(GCMD_REG, this.#lasting() + WRITE_BUFFER_FLUSH);
    return this.#hasStatus(WRITE_BUFFER_FLUSH, false);
  }

  #hasStatus(bit: number, on: boolean): boolean {
    for (let polls = 0; polls < POLLS; polls++) {
      if (((this.#facility.read32(GSTS_REG) & bit) !== 0) === on) return true;
    }
    return false;
  }

  /** The lasting bits that are set: a write to the command register must repeat all of them. */
  #lasting(): number {
    return (this.#facility.read32(GSTS_REG) & LASTING_STATUS) >>> 0;
  }
}
