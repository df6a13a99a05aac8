import type { DeviceAccess, DeviceAddressSpace, FaultLog } from '@virtio-platform/core/address-space';
import type { GuestMemory } from '@virtio-platform/core/memory';

/** Is told of what the device writes: whether all of it arrived, or maybe a part. */
export type WriteListener = (address: number, source: Uint8Array, at: number, length: number, isWhole: boolean) => void;

/** The address space of a device whose writes are told. */
export class StrictSpace implements DeviceAddressSpace {
  readonly memory: GuestMemory;
  readonly faults: FaultLog;
  readonly #inner: DeviceAddressSpace;
  readonly #wrote: WriteListener;

  constructor(inner: DeviceAddressSpace, wrote: WriteListener) {
    this.memory = inner.memory;
    this.faults = inner.faults;
    this.#inner = inner;
    this.#wrote = wrote;
  }

  get generation(): number {
    return this.#inner.generation;
  }

  read(low: number, high: number, target: Uint8Array, at: number, length: number): boolean {
    return this.#inner.read(low, high, target, at, length);
  }

  write(low: number, high: number, source: Uint8Array, at: number, length: number): boolean {
    const isDone = this.#inner.write(low, high, source, at, length);
    this.#wrote(high * 0x1_0000_0000 + low, source, at, length, isDone);
    return isDone;
  }

  /** What is written through a range that was borrowed is not told: what it overlaps is not compared any more. */
  borrow(low: number, high: number, length: number, access: DeviceAccess): number {
    if (access === 'write') this.#wrote(high * 0x1_0000_0000 + low, new Uint8Array(0), 0, length, false);
    return this.#inner.borrow(low, high, length, access);
  }

  freeze(isFrozen: boolean): void {
    this.#inner.freeze?.(isFrozen);
  }

  reset(): void {
    this.#inner.reset?.();
  }
}
