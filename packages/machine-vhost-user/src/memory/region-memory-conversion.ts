import { checkConversion, type GuestMemory } from '@virtio-platform/core/memory';
import type { MemoryConversion } from '@virtio-platform/platform-sev';
import type { MemoryRegions } from './memory-regions.ts';

/**
 * Private memory enforced by the operating system: each shared range is a region at its guest-physical address, and a
 * page that is in no region is in no file. Pages are zero after a conversion: what was private is never seen in shared
 * memory, nor what the back-end wrote in private memory.
 */
export class RegionMemoryConversion implements MemoryConversion {
  readonly #memory: GuestMemory;
  readonly #regions: MemoryRegions;

  constructor(memory: GuestMemory, regions: MemoryRegions) {
    this.#memory = memory;
    this.#regions = regions;
  }

  /**
   * Returns false when the back-end takes no more regions; nothing was converted then. Throws {@link DeviceError}
   * `ERR_DEVICE_LOST`.
   */
  setShared(address: number, length: number): boolean {
    const gaps = this.#privateParts(address, length);
    if (gaps.length > this.#regions.available) return false;
    for (const { start, size } of gaps) {
      this.#memory.u8.fill(0, start, start + size);
      this.#regions.add({ guestAddress: BigInt(start), offset: start, size });
    }
    return true;
  }

  /**
   * Returns false when a range in the middle of a region would take one more than there are; nothing was converted
   * then.
   */
  setPrivate(address: number, length: number): boolean {
    checkConversion(this.#memory, address, length);
    if (!this.#regions.replace(BigInt(address), BigInt(address + length), [])) return false;
    this.#memory.u8.fill(0, address, address + length);
    return true;
  }

  /** The parts of a range that are in no region, in order. */
  #privateParts(address: number, length: number): { readonly start: number; readonly size: number }[] {
    checkConversion(this.#memory, address, length);
    const parts: { start: number; size: number }[] = [];
    let start = address;
    for (const { offset, size } of this.#regions.overlapping(BigInt(address), BigInt(address + length))) {
      if (offset > start) parts.push({ start, size: offset - start });
      start = offset + size;
    }
    if (start < address + length) parts.push({ start, size: address + length - start });
    return parts;
  }
}
