import { INTERRUPT_END, INTERRUPT_START } from '@virtio-platform/core/dma';
import { TranslatedAddressSpace, type AddressTranslation, type FaultLog } from '@virtio-platform/core/address-space';
import type { GuestMemory } from '@virtio-platform/core/memory';

import type { InterruptLookup } from './interrupt-lookup.ts';

/** Bytes of an interrupt: its data. */
const MESSAGE_BYTES = 4;

/**
 * The address space of a device behind a unit that can remap interrupts. While it does, a write of one word to the
 * addresses of interrupts is one, and never reaches memory: it is looked up in the interrupt remapping table. Other
 * accesses to these addresses are refused by the translation.
 */
export class RemappingAddressSpace extends TranslatedAddressSpace {
  readonly #interrupts: InterruptLookup;

  constructor(memory: GuestMemory, faults: FaultLog, translation: AddressTranslation, interrupts: InterruptLookup) {
    super(memory, faults, translation);
    this.#interrupts = interrupts;
  }

  override write(low: number, high: number, source: Uint8Array, at: number, length: number): boolean {
    if (high !== 0 || low < INTERRUPT_START || low >= INTERRUPT_END || !this.#interrupts.isEnabled)
      return super.write(low, high, source, at, length);
    if (length !== MESSAGE_BYTES || low % MESSAGE_BYTES !== 0) return super.write(low, high, source, at, length);
    const data = source[at]! | (source[at + 1]! << 8) | (source[at + 2]! << 16) | (source[at + 3]! << 24);
    if (this.#interrupts.accepts(low, data)) return true;
    this.faults.record({ address: BigInt(low), length, access: 'write', cause: 'interrupt-blocked' });
    return false;
  }
}
