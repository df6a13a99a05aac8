import { POLLS } from './global-commands.ts';
import type { Invalidation } from './invalidation.ts';
import type { VtdCapabilities } from './vtd-capabilities.ts';
import type { VtdFacility } from './vtd-facility.ts';
import {
  CCMD_REG,
  CONTEXT_ACTUAL_SHIFT,
  CONTEXT_INVALIDATE,
  CONTEXT_REQUEST_SHIFT,
  DOMAIN_SELECTIVE,
  GLOBAL,
  GRANULARITY_MASK,
  IOTLB_ACTUAL_SHIFT,
  IOTLB_DRAIN_READS,
  IOTLB_DRAIN_WRITES,
  IOTLB_INVALIDATE,
  IOTLB_REQUEST_SHIFT,
  PAGE_SELECTIVE,
  PAGE_SHIFT,
} from './vtd-registers.ts';

/**
 * Invalidates by the registers of the unit, one command at a time. A command counts as done only by its actual
 * granularity. While the unit has a queue enabled, these registers have no effect.
 */
export class RegisterInvalidation implements Invalidation {
  readonly #facility: VtdFacility;
  readonly #iotlb: number;
  readonly #address: number;
  readonly #words = new Uint32Array(2);
  /**
   * High words of the commands to the translation cache, by granularity. Computed once: the JavaScript engine allocates
   * numbers this large, and a list that also contains `undefined` keeps the allocated ones.
   */
  readonly #commands: readonly (number | undefined)[];

  constructor(facility: VtdFacility, capabilities: VtdCapabilities, domain: number) {
    this.#facility = facility;
    const { drainsReads, drainsWrites, iotlb, invalidateAddress } = capabilities;
    this.#iotlb = iotlb;
    this.#address = invalidateAddress;
    const drain = (drainsReads ? IOTLB_DRAIN_READS : 0) | (drainsWrites ? IOTLB_DRAIN_WRITES : 0);
    const command = (granularity: number): number =>
      (IOTLB_INVALIDATE | (granularity << IOTLB_REQUEST_SHIFT) | drain | domain) >>> 0;
    this.#commands = [undefined, command(GLOBAL), command(DOMAIN_SELECTIVE), command(PAGE_SELECTIVE)];
  }

  enable(): void {}

  invalidateAll(): boolean {
    this.#facility.write64(CCMD_REG, 0, (CONTEXT_INVALIDATE | (GLOBAL << CONTEXT_REQUEST_SHIFT)) >>> 0);
    return this.#isInvalidated(CCMD_REG, CONTEXT_ACTUAL_SHIFT, GLOBAL) && this.#invalidateIotlb(GLOBAL);
  }

  invalidateDomain(): boolean {
    return this.#invalidateIotlb(DOMAIN_SELECTIVE);
  }

  invalidatePages(first: number, mask: number): boolean {
    this.#facility.write64(this.#address, ((first << PAGE_SHIFT) | mask) >>> 0, first >>> 20);
    return this.#invalidateIotlb(PAGE_SELECTIVE);
  }

  disable(): boolean {
    return true;
  }

  free(): void {}

  #invalidateIotlb(granularity: number): boolean {
    this.#facility.write64(this.#iotlb, 0, this.#commands[granularity]!);
    return this.#isInvalidated(this.#iotlb, IOTLB_ACTUAL_SHIFT, granularity);
  }

  /**
   * Waits for an invalidation. A unit may invalidate more than the request but not less; 0 means that it did nothing.
   */
  #isInvalidated(register: number, shift: number, granularity: number): boolean {
    const words = this.#words;
    for (let polls = 0; polls < POLLS; polls++) {
      this.#facility.read64(register, words);
      const high = words[1]!;
      if (high >= IOTLB_INVALIDATE) continue;
      const actual = (high >>> shift) & GRANULARITY_MASK;
      return actual !== 0 && actual <= granularity;
    }
    return false;
  }
}
