import type { DmaDirection, DmaRegion } from '@virtio-platform/core/dma';
import type { TceWindow } from './tce-window.ts';

/** Memory mapped for long at consecutive bus pages. Both sides see the same memory, so there is nothing to sync. */
export class TceRegion implements DmaRegion {
  readonly address: number;
  readonly length: number;
  readonly direction: DmaDirection;
  readonly release: () => void;
  readonly #window: TceWindow;
  readonly #offset: number;

  /** `offset` is where the region begins in the window. */
  constructor(
    memory: { readonly address: number; readonly length: number; readonly direction: DmaDirection },
    window: TceWindow,
    offset: number,
    release: () => void,
  ) {
    this.address = memory.address;
    this.length = memory.length;
    this.direction = memory.direction;
    this.release = release;
    this.#window = window;
    this.#offset = offset;
  }

  writeDeviceAddress(offset: number, words: Uint32Array, at: number): void {
    this.#window.writeBusAddress(this.#offset + offset, words, at);
  }

  syncForDevice(_offset: number, _length: number): void {}

  syncForCpu(_offset: number, _length: number): void {}
}
