import type { GuestMemory } from '../memory/guest-memory.ts';
import { PackedRing } from './packed-ring.ts';

/**
 * A packed ring whose ordered accesses are also ordered as a device sees them, which ORDER_PLATFORM demands (specification 1.4
 * sections 2.8.21.1.1, 2.8.21.3.1 and 6): a barrier before and after flags that are published, behind those that are read, and
 * behind each request for a notification. Hot: no allocation.
 */
export class OrderedPackedRing extends PackedRing {
  readonly #barrier: () => void;

  constructor(memory: GuestMemory, descriptor: number, driver: number, device: number, barrier: () => void) {
    super(memory, descriptor, driver, device);
    this.#barrier = barrier;
  }

  override publishFlags(slot: number, flags: number): void {
    this.#barrier();
    super.publishFlags(slot, flags);
    this.#barrier();
  }

  override flags(slot: number): number {
    const flags = super.flags(slot);
    this.#barrier();
    return flags;
  }

  override writeDriverEvent(position: number, flags: number): void {
    super.writeDriverEvent(position, flags);
    this.#barrier();
  }

  override writeDeviceEvent(position: number, flags: number): void {
    super.writeDeviceEvent(position, flags);
    this.#barrier();
  }
}
