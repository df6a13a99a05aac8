import type { DeviceAccess, DeviceAddressSpace, FaultLog } from '@virtio-platform/core/address-space';
import type { GuestMemory } from '@virtio-platform/core/memory';

const WORD = 0x1_0000_0000;

/** The address space of a device that puts `addressBits` bits of an address on the bus; 64 are all. */
export function spaceBelowMask(space: DeviceAddressSpace, addressBits: number): DeviceAddressSpace {
  return addressBits >= 64 ? space : new MaskedAddressSpace(space, addressBits);
}

/**
 * Refuses addresses that the device cannot put on the bus. Real ones drop the bits that they do not have, and reach
 * other memory; here the access is a fault and touches nothing from the first such byte on.
 */
class MaskedAddressSpace implements DeviceAddressSpace {
  readonly memory: GuestMemory;
  readonly faults: FaultLog;
  readonly #space: DeviceAddressSpace;
  readonly #end: number;

  constructor(space: DeviceAddressSpace, addressBits: number) {
    this.memory = space.memory;
    this.faults = space.faults;
    this.#space = space;
    this.#end = 2 ** addressBits;
  }

  get generation(): number {
    return this.#space.generation;
  }

  read(low: number, high: number, target: Uint8Array, at: number, length: number): boolean {
    const inside = this.#inside(low, high, length, 'read');
    if (inside === length) return this.#space.read(low, high, target, at, length);
    if (inside > 0) this.#space.read(low, high, target, at, inside);
    target.fill(0, at + inside, at + length);
    return false;
  }

  write(low: number, high: number, source: Uint8Array, at: number, length: number): boolean {
    const inside = this.#inside(low, high, length, 'write');
    if (inside === length) return this.#space.write(low, high, source, at, length);
    if (inside > 0) this.#space.write(low, high, source, at, inside);
    return false;
  }

  borrow(low: number, high: number, length: number, access: DeviceAccess): number {
    return this.#inside(low, high, length, access) === length ? this.#space.borrow(low, high, length, access) : -1;
  }

  freeze(isFrozen: boolean): void {
    this.#space.freeze?.(isFrozen);
  }

  reset(): void {
    this.#space.reset?.();
  }

  /** Bytes of an access that the device can address; records the others. An address above 2^53 is rounded, and far. */
  #inside(low: number, high: number, length: number, access: DeviceAccess): number {
    const inside = this.#end - (high * WORD + low);
    if (inside >= length) return length;
    const done = inside > 0 ? inside : 0;
    const address = BigInt.asUintN(64, (BigInt(high) << 32n) + BigInt(low) + BigInt(done));
    this.faults.record({ address, length: length - done, access, cause: 'beyond-mask' });
    return done;
  }
}
