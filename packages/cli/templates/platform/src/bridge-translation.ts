import {
  TranslatedAddressSpace,
  type AddressTranslation,
  type DeviceAddressSpace,
  type FaultCause,
  type FaultLog,
} from '@virtio-platform/core/address-space';
import type { GuestMemory } from '@virtio-platform/core/memory';

/** The module that a device in a worker thread imports for its address space. */
export const BRIDGE_MODULE: string = import.meta.url;

/** The device's side: the bridge takes the offset off again, and passes nothing on that is outside of memory. */
class BridgeTranslation implements AddressTranslation {
  /** Changes when a translation is taken away; this bridge never takes one. */
  readonly generation = 0;
  readonly cause: FaultCause = 'outside-window';
  run = 0;
  readonly #size: number;
  readonly #offset: number;

  constructor(size: number, offset: number) {
    this.#size = size;
    this.#offset = offset;
  }

  /** Refuses by -1, and never throws: an address comes from the device. */
  translate(low: number, high: number): number {
    const address = high * 0x1_0000_0000 + low - this.#offset;
    const isInside = address >= 0 && address < this.#size;
    this.run = isInside ? this.#size - address : 1;
    return isInside ? address : -1;
  }
}

function isBridgeState(state: unknown): state is { readonly offset: number } {
  return typeof state === 'object' && state !== null && 'offset' in state && typeof state.offset === 'number';
}

/** Opens the device's view of memory. `state` is what the plugin's `simulate` gave, copied where the device is. */
export function openAddressSpace(memory: GuestMemory, faults: FaultLog, state: unknown): DeviceAddressSpace {
  if (!isBridgeState(state)) throw new TypeError('the state of the bridge has no offset');
  const { offset } = state;
  return new TranslatedAddressSpace(memory, faults, new BridgeTranslation(memory.size, offset));
}
