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
import { IoPageTableTranslation } from './io-page-table-translation.ts';
import { TceWindows, type TceWindowsState } from './tce-windows.ts';

/** What stands before a device on a POWER host: finds the window of a bus address, and walks the table for its entry. Hot: no allocation. */
export class TceWindowTranslation implements AddressTranslation {
  run = 0;
  cause: FaultCause = 'outside-window';
  readonly #windows: TceWindows;
  readonly #entries: IoPageTableTranslation;

  constructor(windows: TceWindows) {
    this.#windows = windows;
    this.#entries = new IoPageTableTranslation(windows.table);
  }

  get generation(): number {
    return this.#entries.generation;
  }

  translate(low: number, high: number, access: DeviceAccess): number {
    const window = this.#windows.find(low, high);
    if (window < 0) {
      this.run = PAGE_SIZE - (low % PAGE_SIZE);
      this.cause = 'outside-window';
      return -1;
    }
    const entry = this.#windows.tableAddress(window, this.#windows.offset(window, low, high));
    const address = this.#entries.translate(entry >>> 0, Math.floor(entry / 0x1_0000_0000), access);
    this.run = this.#entries.run;
    this.cause = this.#entries.cause;
    return address;
  }
}

/** Tells how to open the address space of a device behind these windows, in this thread or in the device's. */
export function windowedAddressSpace(windows: TceWindows): AddressSpaceBlueprint {
  return { module: import.meta.url, state: windows.state, open: openAddressSpace };
}

/** Opens what {@link windowedAddressSpace} described; `state` is its state, cloned. */
export function openAddressSpace(memory: GuestMemory, faults: FaultLog, state: unknown): DeviceAddressSpace {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a state only ever comes from the same blueprint
  const windows = new TceWindows(state as TceWindowsState);
  return new TranslatedAddressSpace(memory, faults, new TceWindowTranslation(windows));
}
