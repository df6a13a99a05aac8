import type { DmaDirection } from './dma-direction.ts';
import type { DmaPath } from './dma-path.ts';
import type { DmaRegion } from './dma-region.ts';

/** `map` found no room now; the same call can succeed after an unmap. The counterpart of -ENOMEM: backpressure, not an I/O error. */
export const DMA_NO_SPACE = -1;
/** The buffer is longer than {@link DmaLimits.maxMappingSize}; the caller has to split it. */
export const DMA_TOO_LARGE = -2;
/** The device can never reach this memory: outside guest memory, beyond the address bits, or refused by the platform. */
export const DMA_UNREACHABLE = -3;

/** What a mapping can do. All sizes are bytes. Compare `dma_max_mapping_size` and friends in linux/dma-mapping.h. */
export interface DmaLimits {
  /** Width of a device address: 32 for a 32-bit window, 64 for none. */
  readonly addressBits: number;
  /** Longest buffer that one `map` takes. `Infinity` for none. */
  readonly maxMappingSize: number;
  /** Device addresses of regions are multiples of this. */
  readonly alignment: number;
  /** No mapping crosses a multiple of this. `Infinity` for none. */
  readonly boundary: number;
  /** How many mappings can live at once. */
  readonly maxMappings: number;
}

/** Counters since the mapping was opened. Regions count as one mapping each. */
export interface DmaStatistics {
  readonly maps: number;
  readonly unmaps: number;
  readonly bytesBounced: number;
  /** Mappings and regions not given back yet. */
  readonly live: number;
}

/**
 * The DMA-mapping interface of one virtqueue, after Linux `virtio_map_ops`: hands memory to the device and takes it back.
 *
 * Between `map` and `unmap` the memory belongs to the device. A buffer's address is a guest-physical address (a byte
 * offset into guest memory, a non-negative integer); a device address is 64 bits, always as two words, and 0 is valid.
 * Different queues of one device may use different mappings.
 */
export interface DmaMapping {
  readonly path: DmaPath;
  readonly limits: DmaLimits;
  readonly statistics: DmaStatistics;
  /**
   * Orders every access before it against every one after it, as the device sees them: the barrier that ORDER_PLATFORM asks for
   * (specification 1.4 section 6). `undefined` where sequentially consistent atomics do as much, because the other end is a
   * processor of the same memory, or because the processor orders devices like processors. Hot: no allocation.
   */
  readonly barrier: (() => void) | undefined;

  /**
   * Maps `length` (1 or more) bytes at `address` and writes the device address to `words[at]` (low) and `words[at + 1]` (high).
   * Returns a single-use id (0 or more), or a negative reason. On failure `words` is untouched. Hot: no allocation.
   */
  map(address: number, length: number, direction: DmaDirection, words: Uint32Array, at: number): number;

  /**
   * Gives the memory back to the driver. `written` is how many bytes from the start the device really wrote; a mapping that
   * copies brings back just these. Throws `RangeError` for an id that is not live: that is the caller's mistake. Hot: no allocation.
   */
  unmap(id: number, written: number): void;

  /** Makes what the device wrote to part of a live mapping visible to the driver. */
  syncForCpu(id: number, offset: number, length: number): void;
  /** Makes what the driver wrote to part of a live mapping visible to the device. */
  syncForDevice(id: number, offset: number, length: number): void;

  /**
   * Maps memory for long: one region, contiguous for the device, mapped once and used for many requests. The default for
   * drivers, because mapping per request is what makes IOMMUs slow. Throws {@link DmaError} `ERR_DMA_EXHAUSTED` or `ERR_DMA_RANGE`.
   */
  premap(address: number, length: number, direction: DmaDirection): DmaRegion;

  /**
   * Allocates zeroed memory that both sides see without syncing: rings and descriptor tables. `alignment` (a power of two)
   * holds for both addresses. Throws {@link DmaError} `ERR_DMA_EXHAUSTED`.
   */
  allocateCoherent(length: number, alignment: number): DmaRegion;

  /**
   * The guest-physical address that the platform's tables lead to from a device address at this moment, or -1 where they lead nowhere:
   * also where a device may still have an old translation in a cache. Of a mapping that copies it is the copy's. `undefined` where the
   * platform cannot tell. Cold: it may be a call to whoever has the tables.
   */
  resolve?(low: number, high: number): number;

  /** Gives back everything that is still live. The device must have been reset before. */
  dispose(): void;
}
