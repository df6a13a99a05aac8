import type { DmaDirection, DmaRegion } from '@virtio-platform/core/dma';
import { writeIova } from './write-iova.ts';

/** Memory mapped for long at consecutive I/O virtual pages. Both sides see the same memory, so there is nothing to sync. */
export class MappedRegion implements DmaRegion {
  readonly address: number;
  readonly length: number;
  readonly direction: DmaDirection;
  readonly release: () => void;
  readonly #page: number;
  readonly #inPage: number;

  /** `page` is its first I/O virtual page, and `inPage` where in that the region begins. */
  constructor(
    memory: { readonly address: number; readonly length: number; readonly direction: DmaDirection },
    place: { readonly page: number; readonly inPage: number },
    release: () => void,
  ) {
    this.address = memory.address;
    this.length = memory.length;
    this.direction = memory.direction;
    this.release = release;
    this.#page = place.page;
    this.#inPage = place.inPage;
  }

  writeDeviceAddress(offset: number, words: Uint32Array, at: number): void {
    writeIova(this.#page, this.#inPage + offset, words, at);
  }

  syncForDevice(_offset: number, _length: number): void {}

  syncForCpu(_offset: number, _length: number): void {}
}
