import {
  TranslatedAddressSpace,
  type AddressSpaceBlueprint,
  type AddressTranslation,
  type DeviceAccess,
  type DeviceAddressSpace,
  type FaultCause,
  type FaultLog,
} from '@virtio-platform/core/address-space';
import { PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';
import { ENTRY_READ, ENTRY_WRITE, IoPageTable } from './io-page-table.ts';

/** What the device's thread needs to walk the same table. */
export interface IoPageTableState {
  readonly buffer: SharedArrayBuffer;
  readonly addressWidth: number;
}

/** The IOMMU before a device: walks the table for every page of an access. Hot: no allocation. */
export class IoPageTableTranslation implements AddressTranslation {
  run = 0;
  cause: FaultCause = 'unmapped';
  readonly #table: IoPageTable;

  constructor(table: IoPageTable) {
    this.#table = table;
  }

  get generation(): number {
    return this.#table.generation;
  }

  translate(low: number, high: number, access: DeviceAccess): number {
    const offset = low % PAGE_SIZE;
    this.run = PAGE_SIZE - offset;
    if (!this.#table.covers(high)) return this.#refuse('outside-window');
    const entry = this.#table.entry(low, high);
    if (entry === 0) return this.#refuse('unmapped');
    if (access === 'read' && (entry & ENTRY_READ) === 0) return this.#refuse('read-not-permitted');
    if (access === 'write' && (entry & ENTRY_WRITE) === 0) return this.#refuse('write-not-permitted');
    return (entry >>> 2) * PAGE_SIZE + offset;
  }

  #refuse(cause: FaultCause): -1 {
    this.cause = cause;
    return -1;
  }
}

/** Tells how to open the address space of a device behind this IOMMU, in this thread or in the device's. */
export function translatedAddressSpace(table: IoPageTable): AddressSpaceBlueprint {
  const state: IoPageTableState = { buffer: table.buffer, addressWidth: table.addressWidth };
  return { module: import.meta.url, state, open: openAddressSpace };
}

/** Opens what {@link translatedAddressSpace} described; `state` is its state, cloned. */
export function openAddressSpace(memory: GuestMemory, faults: FaultLog, state: unknown): DeviceAddressSpace {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a state only ever comes from the same blueprint
  const { buffer, addressWidth } = state as IoPageTableState;
  return new TranslatedAddressSpace(memory, faults, new IoPageTableTranslation(new IoPageTable(buffer, addressWidth)));
}
