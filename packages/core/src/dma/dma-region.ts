import type { DmaDirection } from './dma-direction.ts';

/** Memory mapped for long, contiguous for the device. Released once by its owner, after the device stopped using it. */
export interface DmaRegion {
  /** Guest-physical address. */
  readonly address: number;
  /** Bytes. */
  readonly length: number;
  readonly direction: DmaDirection;
  /** Writes the device address of the byte at `offset` to `words[at]` (low) and `words[at + 1]` (high). Hot: no allocation. */
  writeDeviceAddress(offset: number, words: Uint32Array, at: number): void;
  /** Makes the driver's bytes visible to the device; a no-op where memory is shared. Hot: no allocation. */
  syncForDevice(offset: number, length: number): void;
  /** Makes the device's bytes visible to the driver; a no-op where memory is shared. Hot: no allocation. */
  syncForCpu(offset: number, length: number): void;
  release(): void;
}
