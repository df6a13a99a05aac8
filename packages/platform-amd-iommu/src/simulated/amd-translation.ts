import {
  NOT_CACHED,
  SimulatedIotlb,
  TranslatedAddressSpace,
  type AddressTranslation,
  type DeviceAccess,
  type DeviceAddressSpace,
  type FaultCause,
  type FaultLog,
} from '@virtio-platform/core/address-space';
import { INTERRUPT_END, INTERRUPT_START, PAGE_READ, PAGE_WRITE } from '@virtio-platform/core/dma';
import { PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';
import { causeOf } from '../unit/amd-fault.ts';
import { CONTROL_REG, IOMMU_ENABLE } from '../unit/amd-registers.ts';
import {
  FAULT_PERMISSION,
  FAULT_PRESENT,
  FAULT_WRITE,
  INVALID_REQUEST,
  IO_PAGE_FAULT,
  PAGE_TABLE_ERROR,
} from '../unit/event-format.ts';
import { MAY_READ, MAY_WRITE } from '../unit/table-format.ts';
import { FROZEN, GENERATION, isAmdState, type AmdState } from './amd-state.ts';
import { DeviceEntries } from './device-entries.ts';
import { neededFor, PageWalk } from './page-walk.ts';
import { SimulatedEvents } from './simulated-events.ts';

const WORD = 0x1_0000_0000;
/** The largest page frame of a cache entry. */
const LAST_FRAME = 2 ** 29 - 1;

/**
 * Translates through a simulated unit, in any thread. It looks in the cache first and then in the tables in guest
 * memory, so a removed entry stays in use until it is invalidated. The unit tells of each refused access. A run ends
 * with its page.
 */
export class AmdTranslation implements AddressTranslation {
  run = 0;
  cause: FaultCause = 'unmapped';
  readonly #state: AmdState;
  readonly #registers: Int32Array;
  readonly #control: Int32Array;
  readonly #iotlb: SimulatedIotlb;
  readonly #device: DeviceEntries;
  readonly #walk: PageWalk;
  /** `undefined` for lookups, of which the unit does not tell. */
  readonly #events: SimulatedEvents | undefined;
  readonly #memorySize: number;

  constructor(memory: GuestMemory, state: AmdState, isForLookups: boolean = false) {
    this.#state = state;
    this.#registers = new Int32Array(state.registers);
    this.#control = new Int32Array(state.control);
    this.#iotlb = new SimulatedIotlb(state);
    this.#device = new DeviceEntries(memory, state);
    this.#walk = new PageWalk(memory);
    this.#events = isForLookups ? undefined : new SimulatedEvents(memory, state);
    this.#memorySize = memory.size;
  }

  get generation(): number {
    return Atomics.load(this.#control, GENERATION);
  }

  get seenGeneration(): number {
    return this.#control[GENERATION]!;
  }

  translate(low: number, high: number, access: DeviceAccess): number {
    if ((Atomics.load(this.#registers, CONTROL_REG / 4) & IOMMU_ENABLE) === 0) return this.#letThrough(low, high);
    this.run = PAGE_SIZE - (low % PAGE_SIZE);
    if (high === 0 && low >= INTERRUPT_START && low < INTERRUPT_END) return this.#interrupt(low, access);
    const device = this.#device;
    const code = device.load();
    if (code !== 0) return this.#refuse(low, high, access, code, device.flags);
    if (!device.isValid) return this.#letThrough(low, high);
    if (device.levels > this.#state.levels)
      return this.#refuse(low, high, access, IO_PAGE_FAULT, device.domain | FAULT_PRESENT);
    if ((device.permissions & neededFor(access)) === 0)
      return this.#refuse(low, high, access, IO_PAGE_FAULT, device.domain | FAULT_PRESENT | FAULT_PERMISSION);
    return device.levels === 0 ? this.#letThrough(low, high) : this.#translatePage(low, high, access);
  }

  freeze(isFrozen: boolean): void {
    Atomics.store(this.#control, FROZEN, isFrozen ? 1 : 0);
  }

  #translatePage(low: number, high: number, access: DeviceAccess): number {
    const { domain } = this.#device;
    const page = high * 2 ** 20 + (low >>> 12);
    let entry = this.#iotlb.find(domain, page);
    if (entry === NOT_CACHED) {
      const generation = this.generation;
      const walk = this.#walk;
      const code = walk.walk(this.#device, low, high);
      if (code === PAGE_TABLE_ERROR)
        return this.#refuse(walk.entry % WORD, Math.floor(walk.entry / WORD), access, code, domain);
      if (code !== 0) return this.#refuse(low, high, access, code, domain | walk.flags);
      entry = walk.isPresent ? cacheEntry(walk.frame, walk.permissions) : 0;
      if (walk.isPresent || this.#state.cachesAbsence) this.#iotlb.fill(domain, page, entry);
      // The tables may have changed since the walk, with an invalidation before this entry was cached.
      if (generation !== this.generation) this.#iotlb.forget(page);
    }
    const needed = access === 'read' ? PAGE_READ : PAGE_WRITE;
    if ((entry & needed) !== 0) return (entry >>> 2) * PAGE_SIZE + (low % PAGE_SIZE);
    const isPresent = entry !== 0;
    return this.#refuse(
      low,
      high,
      access,
      IO_PAGE_FAULT,
      isPresent ? domain | FAULT_PRESENT | FAULT_PERMISSION : domain,
    );
  }

  /** A write is an interrupt: it is neither translated nor told of. A read is no request that a device makes. */
  #interrupt(low: number, access: DeviceAccess): -1 {
    if (access === 'read') return this.#refuse(low, 0, access, INVALID_REQUEST, 0);
    this.cause = 'outside-window';
    return -1;
  }

  #letThrough(low: number, high: number): number {
    const address = high * WORD + low;
    this.run = this.#memorySize - address;
    if (this.run > 0) return address;
    this.run = PAGE_SIZE - (low % PAGE_SIZE);
    this.cause = 'outside-memory';
    return -1;
  }

  #refuse(low: number, high: number, access: DeviceAccess, code: number, flags: number): -1 {
    this.#events?.refuse(code, flags, access, low, high);
    this.cause = causeOf(code, access === 'write' ? flags | FAULT_WRITE : flags, high, this.#device.levels);
    return -1;
  }
}

/** A page frame and its permissions, in one number. Memory is smaller than the last frame, so all beyond are alike. */
function cacheEntry(frame: number, permissions: number): number {
  const may = ((permissions & MAY_READ) === 0 ? 0 : PAGE_READ) | ((permissions & MAY_WRITE) === 0 ? 0 : PAGE_WRITE);
  return Math.min(frame, LAST_FRAME) * 4 + may;
}

/** The URL from which a worker imports {@link openAddressSpace}. */
export const ADDRESS_SPACE_MODULE: string = import.meta.url;

/** Opens the address space of a device behind a simulated unit, in this thread or another. */
export function openAddressSpace(memory: GuestMemory, faults: FaultLog, state: unknown): DeviceAddressSpace {
  if (!isAmdState(state)) throw new TypeError('the state of an amd-iommu address space is that of a simulated unit');
  return new TranslatedAddressSpace(memory, faults, new AmdTranslation(memory, state, faults.isForLookups));
}
