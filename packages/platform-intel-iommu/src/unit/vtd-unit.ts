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
/** How often a register is read before a command counts as failed: real units need a few reads. */
const POLLS = 1000;

/**
 * Programs a remapping unit by its registers: register-based invalidation, bounded waits, and success only where the
 * unit confirms a command. There is one domain, of one device.
 */
export class VtdUnit {
  readonly capabilities: VtdCapabilities;
  readonly #facility: VtdFacility;
  readonly #words = new Uint32Array(2);
  /**
   * High words of the commands to the translation cache, by granularity. Computed once: the JavaScript engine allocates
   * numbers this large, and a list that also contains `undefined` keeps the allocated ones.
   */
  readonly #iotlbCommands: readonly (number | undefined)[];

  /**
   * `domain` is the domain id, not 0, which caching mode reserves. Throws {@link DmaError} `ERR_IOMMU_UNSUPPORTED`
   * without a unit.
   */
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
   * Starts translation with the root table at `root`. Stops first what firmware left running, also queued invalidation:
   * while it is enabled the invalidation registers have no effect. Throws {@link DmaError} `ERR_IOMMU_UNRESPONSIVE`.
   */
  start(root: number): void {
    const facility = this.#facility;
    this.#command('disable translation', TRANSLATION_ENABLE, false);
    this.#command('disable queued invalidation', QUEUED_INVALIDATION_ENABLE, false);
    // Faults are read on request, without an interrupt.
    facility.write32(FECTL_REG, FAULT_INTERRUPT_MASK);
    facility.write64(RTADDR_REG, root % WORD, Math.floor(root / WORD));
    this.#command('set the root table', SET_ROOT_POINTER, true);
    if (!this.invalidateAll()) throw unresponsive('the first invalidation of all caches was not confirmed');
    this.#command('enable translation', TRANSLATION_ENABLE, true);
  }

  /**
   * Stops translation, so that the unit walks no table. Returns whether that is confirmed; if not, the tables must
   * stay.
   */
  stop(): boolean {
    return this.#isDone(TRANSLATION_ENABLE, false) && this.invalidateAll();
  }

  /** Invalidates every cached context and translation. Returns whether that is confirmed. */
  invalidateAll(): boolean {
    const facility = this.#facility;
    facility.write64(CCMD_REG, 0, (CONTEXT_INVALIDATE | (GLOBAL << CONTEXT_REQUEST_SHIFT)) >>> 0);
    return this.#isInvalidated(CCMD_REG, CONTEXT_ACTUAL_SHIFT, GLOBAL) && this.#invalidateIotlb(GLOBAL);
  }

  /**
   * Invalidates the cached translations of `count` pages from `page` on: of the smallest naturally aligned block around
   * them, or of the whole domain where the block is too large for this unit. Returns whether that is confirmed. Hot: no
   * allocation.
   */
  invalidatePages(page: number, count: number): boolean {
    const mask = 32 - Math.clz32(page ^ (page + count - 1));
    if (mask > this.capabilities.largestMask) return this.#invalidateIotlb(DOMAIN_SELECTIVE);
    const first = page & -(1 << mask);
    this.#facility.write64(this.capabilities.invalidateAddress, ((first << PAGE_SHIFT) | mask) >>> 0, first >>> 20);
    return this.#invalidateIotlb(PAGE_SELECTIVE);
  }

  /** Flushes the write buffer of an old unit, so that written tables are visible to it. Hot: no allocation. */
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

  #command(what: string, bit: number, on: boolean): void {
    if (!this.#isDone(bit, on)) throw unresponsive(`it did not ${what}`);
  }

  /** Gives a command and waits until the status shows it. Skips disabling what is disabled. */
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

  /** The lasting bits that are set: a write to the command register must repeat all of them. */
  #lasting(): number {
    return (this.#facility.read32(GSTS_REG) & LASTING_STATUS) >>> 0;
  }
}
