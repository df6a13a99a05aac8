import {
  TranslatedAddressSpace,
  type AddressTranslation,
  type DeviceAccess,
  type FaultCause,
  type DeviceAddressSpace,
  type FaultLog,
} from '@virtio-platform/core/address-space';
import { PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';
import { readCapabilities } from '../unit/vtd-capabilities.ts';
import { faultCause } from '../unit/vtd-fault.ts';
import {
  BEYOND_WIDTH,
  CAP_REG,
  ENTRY_READ,
  ENTRY_WRITE,
  GSTS_REG,
  INTERRUPT_END,
  INTERRUPT_START,
  READ_NOT_PERMITTED,
  TRANSLATION_ENABLE,
  TYPE_PASS_THROUGH,
  WRITE_NOT_PERMITTED,
} from '../unit/vtd-registers.ts';
import { ContextCache } from './context-cache.ts';
import { FaultRecords } from './fault-records.ts';
import { SimulatedIotlb, NOT_CACHED } from './simulated-iotlb.ts';
import { PageWalk } from './page-walk.ts';
import { FROZEN, GENERATION, isVtdState, type VtdState } from './vtd-state.ts';
const PERMISSIONS = ENTRY_READ | ENTRY_WRITE;
const WORD = 0x1_0000_0000;
const CACHING_MODE = 0x80;
/** The last page frame that a cache entry has bits for. */
const LAST_FRAME = 2 ** 29 - 1;

/**
 * What a device reaches through a simulated unit, in any thread. Translations come from the cache while they are in it, and only then from
 * the tables in guest memory; so an entry that was taken away goes on to work until it is invalidated. Each fault is recorded in the unit's
 * registers too, while there is room. A run ends with its page.
 */
export class VtdTranslation implements AddressTranslation {
  run = 0;
  cause: FaultCause = 'unmapped';
  readonly #registers: Int32Array;
  readonly #control: Int32Array;
  readonly #iotlb: SimulatedIotlb;
  readonly #context: ContextCache;
  readonly #walk: PageWalk;
  readonly #faults: FaultRecords;
  readonly #memorySize: number;
  readonly #cachesAbsence: boolean;
  readonly #records: boolean;

  /** A translation that is only asked where an address leads records no fault. */
  constructor(memory: GuestMemory, state: VtdState, records: boolean = true) {
    this.#records = records;
    this.#registers = new Int32Array(state.registers);
    this.#control = new Int32Array(state.control);
    this.#iotlb = new SimulatedIotlb(state);
    this.#walk = new PageWalk(memory);
    this.#memorySize = memory.size;
    this.#cachesAbsence = (this.#registers[CAP_REG / 4]! & CACHING_MODE) !== 0;
    const { faultRecordCount, widths } = readCapabilities(registerReader(state));
    this.#faults = new FaultRecords(state, faultRecordCount);
    this.#context = new ContextCache(memory, state, widths);
  }

  get generation(): number {
    return Atomics.load(this.#control, GENERATION);
  }

  translate(low: number, high: number, access: DeviceAccess): number {
    if ((Atomics.load(this.#registers, GSTS_REG / 4) & TRANSLATION_ENABLE) === 0) return this.#letThrough(low, high);
    this.run = PAGE_SIZE - (low % PAGE_SIZE);
    if (high === 0 && low >= INTERRUPT_START && low < INTERRUPT_END) {
      // An interrupt, or nothing: it is not translated, and not recorded.
      this.cause = 'outside-window';
      return -1;
    }
    const context = this.#context;
    const reason = context.load();
    if (reason !== 0) return this.#refuse(low, high, access, reason);
    if (context.type === TYPE_PASS_THROUGH) return this.#letThrough(low, high);
    if (high * WORD + low >= context.limit) return this.#refuse(low, high, access, BEYOND_WIDTH);
    return this.#translatePage(low, high, access);
  }

  freeze(isFrozen: boolean): void {
    Atomics.store(this.#control, FROZEN, isFrozen ? 1 : 0);
  }

  #translatePage(low: number, high: number, access: DeviceAccess): number {
    const { domain, table, levels } = this.#context;
    const page = high * 2 ** 20 + (low >>> 12);
    let entry = this.#iotlb.find(domain, page);
    if (entry === NOT_CACHED) {
      const generation = this.generation;
      const reason = this.#walk.walk(table, levels, low, high);
      if (reason !== 0) return this.#refuse(low, high, access, reason);
      const { frame, permissions } = this.#walk;
      // No memory here has so many pages: what lies beyond is as far outside of it as the last.
      entry = permissions === 0 ? 0 : Math.min(frame, LAST_FRAME) * 4 + permissions;
      if (permissions !== 0 || this.#cachesAbsence) this.#iotlb.fill(domain, page, entry);
      // The tables may have changed since they were read, and the invalidation been too early for this entry.
      if (generation !== this.generation) this.#iotlb.forget(page);
    }
    const needed = access === 'read' ? ENTRY_READ : ENTRY_WRITE;
    if ((entry & needed) !== 0) return (entry >>> 2) * PAGE_SIZE + (low % PAGE_SIZE);
    const reason = access === 'read' ? READ_NOT_PERMITTED : WRITE_NOT_PERMITTED;
    return this.#refuse(low, high, access, reason, (entry & PERMISSIONS) !== 0);
  }

  #letThrough(low: number, high: number): number {
    const address = high * WORD + low;
    this.run = this.#memorySize - address;
    if (this.run > 0) return address;
    this.run = PAGE_SIZE - (low % PAGE_SIZE);
    this.cause = 'outside-memory';
    return -1;
  }

  #refuse(low: number, high: number, access: DeviceAccess, reason: number, isMapped = false): -1 {
    if (this.#records) this.#faults.record(low, high, access, reason);
    this.cause = faultCause(reason, isMapped);
    return -1;
  }
}

/** Reads registers without side effects, for whoever wants to know what the unit is. */
function registerReader(state: VtdState): Parameters<typeof readCapabilities>[0] {
  const registers = new Uint32Array(state.registers);
  return {
    sourceId: state.sourceId,
    read32: (offset) => registers[offset >>> 2]!,
    read64: (offset, words) => words.set(registers.subarray(offset >>> 2, (offset >>> 2) + 2)),
    write32: () => {},
    write64: () => {},
  };
}

/** Where a worker finds {@link openAddressSpace}. */
export const ADDRESS_SPACE_MODULE: string = import.meta.url;

/** Opens what a device behind a simulated unit reaches, in this thread or another. */
export function openAddressSpace(memory: GuestMemory, faults: FaultLog, state: unknown): DeviceAddressSpace {
  if (!isVtdState(state)) throw new TypeError('the state of an intel-iommu address space is that of a simulated unit');
  return new TranslatedAddressSpace(memory, faults, new VtdTranslation(memory, state, !faults.isOfProbe));
}
