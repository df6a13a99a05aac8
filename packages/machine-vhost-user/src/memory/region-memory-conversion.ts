import { PAGE_SIZE } from '@virtio-platform/core';
import type { ConvertibleMemory } from '@virtio-platform/host';
import type { MemoryConversion } from '@virtio-platform/platform-sev';
import type { MemoryRegions } from './memory-regions.ts';

/**
 * Private memory enforced by the operating system: only shared pages are in the file that the back-end gets, and each shared
 * range is a region at its guest-physical address. A private page is anonymous memory of this process, out of reach for the
 * back-end even if it maps the whole file. Pages are zero after a conversion.
 */
export class RegionMemoryConversion implements MemoryConversion {
  readonly #backing: ConvertibleMemory;
  readonly #regions: MemoryRegions;

  constructor(backing: ConvertibleMemory, regions: MemoryRegions) {
    this.#backing = backing;
    this.#regions = regions;
  }

  /** Returns false when the back-end takes no more regions; nothing was converted then. Throws {@link DeviceError} `ERR_DEVICE_LOST`. */
  setShared(address: number, length: number): boolean {
    const gaps = this.#privateParts(address, length);
    if (gaps.length > this.#regions.available) return false;
    for (const { start, size } of gaps) {
      this.#backing.share(start, size);
      this.#regions.add({ guestAddress: BigInt(start), offset: start, size });
    }
    return true;
  }

  /** Returns false when a range in the middle of a region would take one more than there are; nothing was converted then. */
  setPrivate(address: number, length: number): boolean {
    this.#check(address, length);
    const end = BigInt(address + length);
    // The back-end loses its mapping first: afterwards the pages are wiped under it.
    if (!this.#regions.replace(BigInt(address), end, [])) return false;
    this.#backing.unshare(address, length);
    return true;
  }

  /** The parts of a range that are in no region, in order. */
  #privateParts(address: number, length: number): { readonly start: number; readonly size: number }[] {
    this.#check(address, length);
    const parts: { start: number; size: number }[] = [];
    let start = address;
    for (const { offset, size } of this.#regions.overlapping(BigInt(address), BigInt(address + length))) {
      if (offset > start) parts.push({ start, size: offset - start });
      start = offset + size;
    }
    if (start < address + length) parts.push({ start, size: address + length - start });
    return parts;
  }

  #check(address: number, length: number): void {
    const isPages = address % PAGE_SIZE === 0 && length % PAGE_SIZE === 0 && length > 0;
    if (isPages && address >= 0 && address + length <= this.#backing.size) return;
    throw new RangeError(
      `cannot convert ${length} bytes at 0x${address.toString(16)}: not whole pages of guest memory`,
    );
  }
}
