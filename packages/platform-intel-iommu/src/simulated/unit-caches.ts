import { SimulatedIotlb } from '@virtio-platform/core/address-space';
import { ALL_PASIDS, ONE_PASID } from '../unit/queue-format.ts';
import { SCALABLE_MODE, TABLE_MODE_MASK } from '../unit/scalable-format.ts';
import { DOMAIN_SELECTIVE, GLOBAL } from '../unit/vtd-registers.ts';
import { InterruptCache } from './interrupt-cache.ts';
import {
  CONTEXT_CACHED,
  CONTEXT_DOMAIN,
  FROZEN,
  GENERATION,
  PASID_CACHED,
  ROOT_LOW,
  type VtdState,
} from './vtd-state.ts';

/**
 * What a simulated unit has cached, and how the driver's thread drops it: the same for a command in a register and for
 * a descriptor in a queue. While a device relies on identity addresses nothing is dropped.
 */
export class UnitCaches {
  readonly interrupts: InterruptCache;
  readonly #control: Int32Array;
  readonly #iotlb: SimulatedIotlb;
  readonly #sourceId: number;

  constructor(state: VtdState) {
    this.#control = new Int32Array(state.control);
    this.#iotlb = new SimulatedIotlb(state);
    this.interrupts = new InterruptCache(state);
    this.#sourceId = state.sourceId;
  }

  /** A plain load: the driver learns in order that the device has started, which is when it freezes the unit. */
  get isFrozen(): boolean {
    return this.#control[FROZEN] !== 0;
  }

  /**
   * Drops the context where the request is global, or names its domain, or its domain and device. Contexts of scalable
   * mode have no domain.
   */
  dropContexts(granularity: number, domain: number, sourceId: number): void {
    const isScalable = (this.#control[ROOT_LOW]! & TABLE_MODE_MASK) === SCALABLE_MODE;
    const isOfDomain = isScalable || domain === this.#control[CONTEXT_DOMAIN];
    const isNamed = isOfDomain && (granularity === DOMAIN_SELECTIVE || sourceId === this.#sourceId);
    if (granularity !== GLOBAL && !isNamed) return;
    Atomics.store(this.#control, CONTEXT_CACHED, 0);
    this.nextGeneration();
  }

  /** Drops the PASID entry where the request is global, or names its domain, or its domain and PASID 0. */
  dropPasids(granularity: number, domain: number, pasid: number): void {
    const isNamed = domain === this.#control[CONTEXT_DOMAIN] && (granularity !== ONE_PASID || pasid === 0);
    if (granularity !== ALL_PASIDS && !isNamed) return;
    Atomics.store(this.#control, PASID_CACHED, 0);
    this.nextGeneration();
  }

  /**
   * Drops translations. `page` and `mask` count only for a range: the naturally aligned `2 ** mask` pages around
   * `page`.
   */
  dropTranslations(granularity: number, domain: number, page: number, mask: number): void {
    // The generation changes first: a translation that is cached meanwhile sees the change and drops itself.
    this.nextGeneration();
    if (granularity === GLOBAL) this.#iotlb.dropAll();
    else if (granularity === DOMAIN_SELECTIVE) this.#iotlb.dropDomain(domain);
    else {
      const count = 1 << mask;
      this.#iotlb.dropPages(domain, page - (page & (count - 1)), count);
    }
  }

  nextGeneration(): void {
    Atomics.add(this.#control, GENERATION, 1);
  }
}
