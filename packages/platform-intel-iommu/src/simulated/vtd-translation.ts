import { INTERRUPT_END, INTERRUPT_START } from '@virtio-platform/core/dma';
import {
  NOT_CACHED,
  SimulatedIotlb,
  TranslatedAddressSpace,
  type AddressTranslation,
  type DeviceAccess,
  type FaultCause,
  type DeviceAddressSpace,
  type FaultLog,
} from '@virtio-platform/core/address-space';
import { PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';
import { faultCause } from '../unit/fault-reasons.ts';
import { readCapabilities } from '../unit/vtd-capabilities.ts';
import {
  CAP_REG,
  ENTRY_READ,
  ENTRY_WRITE,
  GSTS_REG,
  TRANSLATION_ENABLE,
  TYPE_PASS_THROUGH,
} from '../unit/vtd-registers.ts';
import { ContextCache } from './context-cache.ts';
import { FaultRecords } from './fault-records.ts';
import { InterruptLookup } from './interrupt-lookup.ts';
import { PageWalk } from './page-walk.ts';
import { RemappingAddressSpace } from './remapping-address-space.ts';
import { FROZEN, GENERATION, isVtdState, type VtdState } from './vtd-state.ts';
const PERMISSIONS = ENTRY_READ | ENTRY_WRITE;
const WORD = 0x1_0000_0000;
const CACHING_MODE = 0x80;
/** The largest page frame of a cache entry. */
const LAST_FRAME = 2 ** 29 - 1;

/**
 * Translates through a simulated unit, in any thread. It looks in the cache first and then in the tables in guest
 * memory, so a removed entry stays in use until it is invalidated. Faults are also recorded in the unit's registers
 * while one is free. A run ends with its page.
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

  /** With `records` false, for lookups, faults are not recorded in the registers. */
  constructor(memory: GuestMemory, state: VtdState, records: boolean = true) {
    this.#records = records;
    this.#registers = new Int32Array(state.registers);
    this.#control = new Int32Array(state.control);
    this.#iotlb = new SimulatedIotlb(state);
    this.#walk = new PageWalk(memory);
    this.#memorySize = memory.size;
    this.#cachesAbsence = (this.#registers[CAP_REG / 4]! & CACHING_MODE) !== 0;
    const capabilities = readCapabilities(registerReader(state));
    this.#faults = new FaultRecords(state, capabilities.faultRecordCount);
    this.#context = new ContextCache(memory, state, capabilities);
  }

  get generation(): number {
    return Atomics.load(this.#control, GENERATION);
  }

  get seenGeneration(): number {
    return this.#control[GENERATION]!;
  }

  translate(low: number, high: number, access: DeviceAccess): number {
    this.run = PAGE_SIZE - (low % PAGE_SIZE);
    if (high === 0 && low >= INTERRUPT_START && low < INTERRUPT_END) {
      // An interrupt that is not remapped, or no interrupt: it is neither translated nor recorded, and never memory.
      this.cause = 'outside-window';
      return -1;
    }
    if ((Atomics.load(this.#registers, GSTS_REG / 4) & TRANSLATION_ENABLE) === 0) return this.#letThrough(low, high);
    const context = this.#context;
    const reason = context.load();
    if (reason !== 0) return this.#refuse(low, high, access, reason);
    const { type, levels } = context.entry;
    if (type === TYPE_PASS_THROUGH) return this.#letThrough(low, high);
    if (high >= limitOf(levels)) return this.#refuse(low, high, access, context.reasons.beyondWidth);
    return this.#translatePage(low, high, access);
  }

  freeze(isFrozen: boolean): void {
    Atomics.store(this.#control, FROZEN, isFrozen ? 1 : 0);
  }

  #translatePage(low: number, high: number, access: DeviceAccess): number {
    const { entry: requester, reasons } = this.#context;
    const { domain } = requester;
    const page = high * 2 ** 20 + (low >>> 12);
    let entry = this.#iotlb.find(domain, page);
    if (entry === NOT_CACHED) {
      const generation = this.generation;
      const reason = this.#walk.walk(requester, low, high, reasons);
      if (reason !== 0) return this.#refuse(low, high, access, reason);
      const { frame, permissions } = this.#walk;
      // Memory is smaller than that, so all frames beyond the last are equally outside of it.
      entry = permissions === 0 ? 0 : Math.min(frame, LAST_FRAME) * 4 + permissions;
      if (permissions !== 0 || this.#cachesAbsence) this.#iotlb.fill(domain, page, entry);
      // The tables may have changed since the walk, with an invalidation before this entry was cached.
      if (generation !== this.generation) this.#iotlb.forget(page);
    }
    const needed = access === 'read' ? ENTRY_READ : ENTRY_WRITE;
    if ((entry & needed) !== 0) return (entry >>> 2) * PAGE_SIZE + (low % PAGE_SIZE);
    const isMapped = (entry & PERMISSIONS) !== 0;
    const permission = access === 'read' ? reasons.read : reasons.write;
    return this.#refuse(low, high, access, isMapped ? permission : (reasons.absent ?? permission), isMapped);
  }

  #letThrough(low: number, high: number): number {
    const address = high * WORD + low;
    const end = address < INTERRUPT_START ? Math.min(INTERRUPT_START, this.#memorySize) : this.#memorySize;
    this.run = end - address;
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

/** The first high word of an address that tables of this many levels do not translate; they translate 32 bits. */
function limitOf(levels: number): number {
  return 2 ** (12 + 9 * levels - 32);
}

/** Reads the registers without side effects, for {@link readCapabilities}. */
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

/** The URL from which a worker imports {@link openAddressSpace}. */
export const ADDRESS_SPACE_MODULE: string = import.meta.url;

/** Opens the address space of a device behind a simulated unit, in this thread or another. */
export function openAddressSpace(memory: GuestMemory, faults: FaultLog, state: unknown): DeviceAddressSpace {
  if (!isVtdState(state)) throw new TypeError('the state of an intel-iommu address space is that of a simulated unit');
  const translation = new VtdTranslation(memory, state, !faults.isForLookups);
  const { interruptRemapping, faultRecordCount } = readCapabilities(registerReader(state));
  if (!interruptRemapping || faults.isForLookups) return new TranslatedAddressSpace(memory, faults, translation);
  return new RemappingAddressSpace(memory, faults, translation, new InterruptLookup(memory, state, faultRecordCount));
}
