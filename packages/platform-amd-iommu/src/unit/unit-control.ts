import type { AmdIommuFacility } from './amd-facility.ts';
import { CONTROL_REG, STATUS_REG } from './amd-registers.ts';

/** How often a register or a word is read before a command counts as failed: real units need a few reads. */
export const POLLS = 1000;

/** Control and status of a unit. What is switched counts as done when the status shows it; each wait is bounded. */
export class UnitControl {
  readonly #facility: AmdIommuFacility;
  readonly #words = new Uint32Array(2);

  constructor(facility: AmdIommuFacility) {
    this.#facility = facility;
  }

  /** Whether the control register has a bit. */
  isOn(bit: number): boolean {
    this.#facility.read64(CONTROL_REG, this.#words);
    return (this.#words[0]! & bit) !== 0;
  }

  /** Sets or clears bits by one write, without touching the others. */
  set(bits: number, on: boolean): void {
    const words = this.#words;
    this.#facility.read64(CONTROL_REG, words);
    const low = on ? words[0]! | bits : words[0]! & ~bits;
    this.#facility.write64(CONTROL_REG, low >>> 0, words[1]!);
  }

  /** Switches what a bit of the status shows. Returns whether it does so. */
  switch(bit: number, shown: number, on: boolean): boolean {
    this.set(bit, on);
    return this.shows(shown, on);
  }

  /** Waits until a bit of the status is as given. Returns whether it became so. */
  shows(shown: number, on: boolean): boolean {
    for (let polls = 0; polls < POLLS; polls++) if (this.hasStatus(shown) === on) return true;
    return false;
  }

  /** Whether the status has a bit. The read also waits for what was posted to the unit. Hot. */
  hasStatus(bit: number): boolean {
    this.#facility.read64(STATUS_REG, this.#words);
    return (this.#words[0]! & bit) !== 0;
  }

  /** Clears bits of the status that are cleared by writing 1. */
  clearStatus(bits: number): void {
    this.#facility.write64(STATUS_REG, bits, 0);
  }
}
