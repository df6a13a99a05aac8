import { unresponsive, type VtdFacility } from './vtd-facility.ts';
import { readCapabilities, type VtdCapabilities } from './vtd-capabilities.ts';
import {
  CCMD_REG,
  CONTEXT_ACTUAL_SHIFT,
  CONTEXT_INVALIDATE,
  CONTEXT_REQUEST_SHIFT,
  DOMAIN_SELECTIVE,
  FECTL_REG,
  FAULT_INTERRUPT_MASK,
  GCMD_REG,
  GLOBAL,
  GRANULARITY_MASK,
  GSTS_REG,
  IOTLB_ACTUAL_SHIFT,
  IOTLB_DRAIN_READS,
  IOTLB_DRAIN_WRITES,
  IOTLB_INVALIDATE,
  IOTLB_REQUEST_SHIFT,
  LASTING_STATUS,
  PAGE_SELECTIVE,
  PAGE_SHIFT,
  QUEUED_INVALIDATION_ENABLE,
  RTADDR_REG,
  SET_ROOT_POINTER,
  TRANSLATION_ENABLE,
  WRITE_BUFFER_FLUSH,
} from './vtd-registers.ts';

const WORD = 0x1_0000_0000;
/** How often a register is read until it has to say that a command is done: real units take a few. */
const POLLS = 1000;

/**
 * A remapping unit by its registers, as the driver's side programs it: register-based invalidation, every wait bounded, and nothing
 * taken for done that the unit does not confirm. There is one domain behind it, of our one device.
 */
export class VtdUnit {
  readonly capabilities: VtdCapabilities;
  readonly #facility: VtdFacility;
  readonly #words = new Uint32Array(2);
  /**
   * High words of the commands to the translation cache, by granularity. Made once: these numbers are too large for the engine to have them
   * without an allocation, and a list that is not all numbers keeps those that were made.
   */
  readonly #iotlbCommands: readonly (number | undefined)[];

  /** `domain` is the id of the domain; not 0, which caching mode keeps for itself. Throws {@link DmaError} `ERR_IOMMU_UNSUPPORTED` where there is none. */
  constructor(facility: VtdFacility, domain: number) {
    this.#facility = facility;
    this.capabilities = readCapabilities(facility);
    const { drainsReads, drainsWrites } = this.capabilities;
    const drain = (drainsReads ? IOTLB_DRAIN_READS : 0) | (drainsWrites ? IOTLB_DRAIN_WRITES : 0);
    const command = (granularity: number): number =>
      (IOTLB_INVALIDATE | (granularity << IOTLB_REQUEST_SHIFT) | drain | domain) >>> 0;
    this.#iotlbCommands = [undefined, command(GLOBAL), command(DOMAIN_SELECTIVE), command(PAGE_SELECTIVE)];
  }

  get isTranslating(): boolean {
    return (this.#facility.read32(GSTS_REG) & TRANSLATION_ENABLE) !== 0;
  }

  /**
   * Translates by the root table at `root` from here on. What firmware left running is stopped first, the queue for invalidations too:
   * the registers do nothing while it is there. Throws {@link DmaError} `ERR_IOMMU_UNRESPONSIVE`.
   */
  start(root: number): void {
    const facility = this.#facility;
    this.#command('disable translation', TRANSLATION_ENABLE, false);
    this.#command('disable queued invalidation', QUEUED_INVALIDATION_ENABLE, false);
    // Nobody takes the interrupt: faults are read when somebody asks.
    facility.write32(FECTL_REG, FAULT_INTERRUPT_MASK);
    facility.write64(RTADDR_REG, root % WORD, Math.floor(root / WORD));
    this.#command('set the root table', SET_ROOT_POINTER, true);
    if (!this.invalidateAll()) throw unresponsive('the first invalidation of all caches was not confirmed');
    this.#command('enable translation', TRANSLATION_ENABLE, true);
  }

  /** Ends translation, and the unit walks no table any more. Returns whether that was confirmed: if not, the tables must stay. */
  stop(): boolean {
    return this.#isDone(TRANSLATION_ENABLE, false) && this.invalidateAll();
  }

  /** Drops every cached context and translation. Returns whether that was confirmed. */
  invalidateAll(): boolean {
    const facility = this.#facility;
    facility.write64(CCMD_REG, 0, (CONTEXT_INVALIDATE | (GLOBAL << CONTEXT_REQUEST_SHIFT)) >>> 0);
    return this.#isInvalidated(CCMD_REG, CONTEXT_ACTUAL_SHIFT, GLOBAL) && this.#invalidateIotlb(GLOBAL);
  }

  /**
   * Drops the cached translations of `count` pages from `page` on: of the smallest naturally aligned block around them, or of the whole
   * domain where such blocks are too large for this unit. Returns whether that was confirmed. Hot: no allocation.
   */
  invalidatePages(page: number, count: number): boolean {
    const mask = 32 - Math.clz32(page ^ (page + count - 1));
    if (mask > this.capabilities.largestMask) return this.#invalidateIotlb(DOMAIN_SELECTIVE);
    const first = page & -(1 << mask);
    this.#facility.write64(this.capabilities.invalidateAddress, ((first << PAGE_SHIFT) | mask) >>> 0, first >>> 20);
    return this.#invalidateIotlb(PAGE_SELECTIVE);
  }

  /** After tables were written: what an old unit has in its write buffer becomes visible to it. Hot: no allocation. */
  flushWriteBuffer(): boolean {
    if (!this.capabilities.needsWriteBufferFlush) return true;
    this.#facility.write32(GCMD_REG, this.#lasting() + WRITE_BUFFER_FLUSH);
    return this.#hasStatus(WRITE_BUFFER_FLUSH, false);
  }

  #invalidateIotlb(granularity: number): boolean {
    const { iotlb } = this.capabilities;
    this.#facility.write64(iotlb, 0, this.#iotlbCommands[granularity]!);
    return this.#isInvalidated(iotlb, IOTLB_ACTUAL_SHIFT, granularity);
  }

  /** Waits for an invalidation. A unit may do more than it was asked for, not less, and says 0 where it did nothing. */
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

  #command(what: string, bit: number, on: boolean): void {
    if (!this.#isDone(bit, on)) throw unresponsive(`it did not ${what}`);
  }

  /** Gives a command, unless the status has it already and it is no event, and waits for the status to say so. */
  #isDone(bit: number, on: boolean): boolean {
    const status = this.#facility.read32(GSTS_REG);
    if (!on && (status & bit) === 0) return true;
    const others = this.#lasting();
    this.#facility.write32(GCMD_REG, on ? (others | bit) >>> 0 : (others & ~bit) >>> 0);
    return this.#hasStatus(bit, on);
  }

  #hasStatus(bit: number, on: boolean): boolean {
    for (let polls = 0; polls < POLLS; polls++) {
      if (((this.#facility.read32(GSTS_REG) & bit) !== 0) === on) return true;
    }
    return false;
  }

  /** What is on and has to stay on: a write to the command register says everything anew. */
  #lasting(): number {
    return (this.#facility.read32(GSTS_REG) & LASTING_STATUS) >>> 0;
  }
}
