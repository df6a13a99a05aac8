import {
  TranslatedAddressSpace,
  type AddressTranslation,
  type DeviceAccess,
  type DeviceAddressSpace,
  type FaultCause,
  type FaultLog,
} from '@virtio-platform/core/address-space';
import { PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';
import { ACCESS_READ, ACCESS_WRITE, EVENT_HAS_ADDRESS, REASON_DOMAIN, REASON_MAPPING } from '../unit/request-format.ts';
import { EventRing } from './event-ring.ts';
import {
  ATTACHED,
  BYPASS,
  BYPASS_DOMAIN,
  FROZEN,
  GENERATION,
  isIommuState,
  MAPPED_DOMAIN,
  type IommuState,
  type StateRegion,
} from './iommu-state.ts';
import { MappingList, NOT_MAPPED } from './mapping-list.ts';

const WORD = 0x1_0000_0000;

/**
 * Translates through a simulated unit, in any thread: reserved regions first, as QEMU does, then the domain. A mapping
 * takes effect with the answer to its MAP, and ends with that to its UNMAP: the unit caches nothing. A refused access
 * is an event too.
 */
export class IommuTranslation implements AddressTranslation {
  run = 0;
  cause: FaultCause = 'unmapped';
  readonly #control: Int32Array;
  readonly #mappings: MappingList;
  readonly #events: EventRing | undefined;
  readonly #reserved: readonly StateRegion[];
  readonly #memorySize: number;

  /** With `records` false, for lookups, there are no events. */
  constructor(memory: GuestMemory, state: IommuState, records: boolean = true) {
    this.#control = new Int32Array(state.control);
    this.#mappings = new MappingList(state);
    this.#events = records ? new EventRing(state) : undefined;
    this.#reserved = state.reserved;
    this.#memorySize = memory.size;
  }

  get generation(): number {
    return Atomics.load(this.#control, GENERATION);
  }

  get seenGeneration(): number {
    return this.#control[GENERATION]!;
  }

  translate(low: number, high: number, access: DeviceAccess): number {
    this.run = PAGE_SIZE - (low % PAGE_SIZE);
    const address = high * WORD + low;
    const reserved = this.#reserved;
    for (let i = 0; i < reserved.length; i++) {
      const region = reserved[i]!;
      if (address >= region.start && address < region.end) return this.#refuseReserved(low, high, access, region);
    }
    const attached = Atomics.load(this.#control, ATTACHED);
    if (attached === BYPASS_DOMAIN) return this.#letThrough(address);
    if (attached === MAPPED_DOMAIN) return this.#translatePage(low, high, access);
    if (Atomics.load(this.#control, BYPASS) !== 0) return this.#letThrough(address);
    this.cause = 'unmapped';
    return this.#refuse(low, high, access, REASON_DOMAIN);
  }

  freeze(isFrozen: boolean): void {
    Atomics.store(this.#control, FROZEN, isFrozen ? 1 : 0);
  }

  #translatePage(low: number, high: number, access: DeviceAccess): number {
    const mappings = this.#mappings;
    if (mappings.find(high * 2 ** 20 + (low >>> 12)) === NOT_MAPPED) {
      this.cause = 'unmapped';
      return this.#refuse(low, high, access, REASON_MAPPING);
    }
    const offset = low % PAGE_SIZE;
    this.run = mappings.pages * PAGE_SIZE - offset;
    if ((mappings.flags & (access === 'read' ? ACCESS_READ : ACCESS_WRITE)) !== 0)
      return mappings.frame * PAGE_SIZE + offset;
    this.cause = access === 'read' ? 'read-not-permitted' : 'write-not-permitted';
    return this.#refuse(low, high, access, REASON_MAPPING);
  }

  #letThrough(address: number): number {
    // A run ends where a region begins: behind it nothing is let through.
    let end = this.#memorySize;
    for (const { start } of this.#reserved) if (start > address && start < end) end = start;
    if (address < end) {
      this.run = end - address;
      return address;
    }
    this.cause = 'outside-memory';
    return -1;
  }

  /** A write to an interrupt address is no access to memory, and no fault of the device. */
  #refuseReserved(low: number, high: number, access: DeviceAccess, { isMsi }: StateRegion): -1 {
    this.cause = 'outside-window';
    return isMsi ? -1 : this.#refuse(low, high, access, REASON_MAPPING);
  }

  #refuse(low: number, high: number, access: DeviceAccess, reason: number): -1 {
    const flags = EVENT_HAS_ADDRESS | (access === 'read' ? ACCESS_READ : ACCESS_WRITE);
    this.#events?.record(reason, flags, low, high);
    return -1;
  }
}

/** The URL from which a worker imports {@link openAddressSpace}. */
export const ADDRESS_SPACE_MODULE: string = import.meta.url;

/** Opens the address space of a device behind a simulated unit, in this thread or another. */
export function openAddressSpace(memory: GuestMemory, faults: FaultLog, state: unknown): DeviceAddressSpace {
  if (!isIommuState(state))
    throw new TypeError('the state of a virtio-iommu address space is that of a simulated unit');
  return new TranslatedAddressSpace(memory, faults, new IommuTranslation(memory, state, !faults.isForLookups));
}
