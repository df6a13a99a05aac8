import {
  copyBytes,
  type DeviceAccess,
  type DeviceAddressSpace,
  type FaultLog,
} from '@virtio-platform/core/address-space';
import type { GuestMemory } from '@virtio-platform/core/memory';
import type { MemoryRegions } from './memory-regions.ts';

/** Guest memory as the regions of the back-end show it, for a queue that the front-end serves itself. */
export class RegionAddressSpace implements DeviceAddressSpace {
  readonly memory: GuestMemory;
  readonly faults: FaultLog;
  readonly #regions: MemoryRegions;
  #generation = 0;

  constructor(memory: GuestMemory, regions: MemoryRegions, faults: FaultLog) {
    this.memory = memory;
    this.faults = faults;
    this.#regions = regions;
  }

  /** Always another one: a region may have gone, and what a queue like this one looks up costs little. */
  get generation(): number {
    return this.#generation++;
  }

  read(low: number, high: number, target: Uint8Array, at: number, length: number): boolean {
    const offset = this.borrow(low, high, length, 'read');
    if (offset < 0) target.fill(0, at, at + length);
    else copyBytes(target, at, this.memory.u8, offset, length);
    return offset >= 0;
  }

  write(low: number, high: number, source: Uint8Array, at: number, length: number): boolean {
    const offset = this.borrow(low, high, length, 'write');
    if (offset >= 0) copyBytes(this.memory.u8, offset, source, at, length);
    return offset >= 0;
  }

  borrow(low: number, high: number, length: number, access: DeviceAccess): number {
    const offset = this.#regions.locate(low, high, length)?.offset;
    if (offset !== undefined) return offset;
    const address = (BigInt(high) << 32n) | BigInt(low);
    this.faults.record({ address, length, access, cause: 'unmapped', detail: 'it is in no memory region' });
    return -1;
  }
}
