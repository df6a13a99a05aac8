import type { DmaDirection, DmaRegion } from '@virtio-platform/core/dma';
import { iovaOffset } from './iova-offset.ts';
import { writeIova } from './write-iova.ts';

/** A region that is mapped at an I/O virtual address of its own. Both sides use the same memory, so syncing does nothing. */
export class PinnedRegion implements DmaRegion {
  readonly address: number;
  readonly length: number;
  readonly direction: DmaDirection;
  readonly release: () => void;
  readonly #iova: number;
  readonly #inPage: number;

  /** `iova` is where the page of `address` is for the device, and `inPage` how far into it the region begins. */
  constructor(
    address: number,
    length: number,
    direction: DmaDirection,
    place: { readonly iova: number; readonly inPage: number },
    release: () => void,
  ) {
    this.address = address;
    this.length = length;
    this.direction = direction;
    this.release = release;
    this.#iova = place.iova;
    this.#inPage = place.inPage;
  }

  writeDeviceAddress(offset: number, words: Uint32Array, at: number): void {
    writeIova(this.#iova, this.#inPage + offset, words, at);
  }

  /** How many bytes behind the start of the region a device address is; negative before it. */
  offsetOf(low: number, high: number): number {
    return iovaOffset(this.#iova, low, high) - this.#inPage;
  }

  syncForDevice(_offset: number, _length: number): void {}

  syncForCpu(_offset: number, _length: number): void {}
}
