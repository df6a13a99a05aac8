import type { DeviceAddressSpace } from '../address-space/device-address-space.ts';
import type { DeviceAccess, FaultLog } from '../address-space/fault-log.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';
import type { DeviceAccessCheck } from './device-access-check.ts';

/** What a device reaches, with every access of it looked at. Nothing is refused here: that is the platform's to do. */
export class WatchedAddressSpace implements DeviceAddressSpace {
  readonly memory: GuestMemory;
  readonly faults: FaultLog;
  readonly #inner: DeviceAddressSpace;
  readonly #check: DeviceAccessCheck;

  constructor(inner: DeviceAddressSpace, check: DeviceAccessCheck) {
    this.memory = inner.memory;
    this.faults = inner.faults;
    this.#inner = inner;
    this.#check = check;
  }

  get generation(): number {
    return this.#inner.generation;
  }

  read(low: number, high: number, target: Uint8Array, at: number, length: number): boolean {
    this.#check.access(low, high, length, 'read');
    return this.#inner.read(low, high, target, at, length);
  }

  write(low: number, high: number, source: Uint8Array, at: number, length: number): boolean {
    this.#check.access(low, high, length, 'write');
    return this.#inner.write(low, high, source, at, length);
  }

  borrow(low: number, high: number, length: number, access: DeviceAccess): number {
    this.#check.access(low, high, length, access);
    return this.#inner.borrow(low, high, length, access);
  }

  freeze(isFrozen: boolean): void {
    this.#inner.freeze?.(isFrozen);
  }
}
