import type { DmaDirection, DmaRegion } from './dma-region.ts';

/**
 * `map` finds no free address, slot or table entry; the same call can succeed after an unmap. The counterpart of
 * -ENOMEM: backpressure, not an I/O error.
 */
export const DMA_NO_SPACE = -1;
/** The buffer is longer than {@link DmaLimits.maxMappingSize}; the caller has to split it. */
export const DMA_TOO_LARGE = -2;
/**
 * The device can never reach this memory: outside guest memory, beyond the address bits, or refused by the platform.
 */
export const DMA_UNREACHABLE = -3;

/** The limits of a mapping. All sizes are bytes. Compare `dma_max_mapping_size` and friends in linux/dma-mapping.h. */
export interface DmaLimits {
  /** Width of a device address: 32 for a 32-bit window, 64 without a limit. */
  readonly addressBits: number;
  /** Longest buffer that one `map` takes. `Infinity` without a limit. */
  readonly maxMappingSize: number;
  /** Device addresses of regions are multiples of this. */
  readonly alignment: number;
  /** No mapping crosses a multiple of this. `Infinity` without a limit. */
  readonly boundary: number;
  /** How many mappings can live at once. */
  readonly maxMappings: number;
  /**
   * Bytes of the pieces in which the device is given memory, where they are larger than a page of 4096 bytes: it also
   * reaches what shares a piece with a buffer. Pools of buffers fill whole pieces.
   */
  readonly granule?: number | undefined;
  /**
   * First guest-physical address that the device cannot reach; all of memory unless given. Buffers are allocated below
   * it: `GuestMemory.allocate(length, alignment, reach)`.
   */
  readonly reach?: number | undefined;
  /**
   * Longest region that `premap` and `allocateCoherent` take, in bytes, where it is less than there is memory: the 256
   * KiB of a restricted pool. A split ring is halved until it fits.
   */
  readonly maxRegionSize?: number | undefined;
  /**
   * First guest-physical address of the buffers that are copied on a path that copies no other: those beyond the mask
   * of the device. None unless given.
   */
  readonly copiedFrom?: number | undefined;
  /** Low bits of a buffer's address that its device address keeps; 0 unless given. */
  readonly minAlignMask?: number | undefined;
}

/** Counters since the mapping was opened. Regions count as one mapping each. */
export interface DmaStatistics {
  readonly maps: number;
  readonly unmaps: number;
  readonly bytesBounced: number;
  /** Mappings that were not unmapped, and regions that were not released. */
  readonly live: number;
  /** Of those unmapped or released by their owner: how many the platform could not take back. None unless given. */
  readonly leaked?: number;
}

/**
 * The DMA-mapping interface of one virtqueue, after Linux `virtio_map_ops`: gives memory to the device and takes it
 * back.
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
   * Maps `length` (1 or more) bytes at `address` and writes the device address to `words[at]` (low) and `words[at + 1]`
   * (high). Returns a single-use id (0 or more), or a negative reason. On failure `words` is untouched. Hot: no
   * allocation.
   */
  map(address: number, length: number, direction: DmaDirection, words: Uint32Array, at: number): number;

  /**
   * Gives the memory back to the driver. `written` is how many bytes from the start the device really wrote; a mapping
   * that copies brings back exactly these. Throws `RangeError` for an id that is not live: the caller's mistake. Hot:
   * no allocation.
   *
   * Where the platform cannot take the pages back, the device may still reach the buffer. Then `unmap` returns as
   * always, the device address stays reserved, and {@link DmaStatistics.leaked} and the platform's leaks count the
   * mapping. The memory is withheld (`GuestMemory.withhold`): its owner may free it, and nothing gets it again.
   */
  unmap(id: number, written: number): void;

  /**
   * Makes what the device wrote to part of a live mapping visible to the driver. Throws `RangeError` for an id that is
   * not live, and for bytes outside of the mapping: a negative or fractional offset or length, or an end behind the
   * mapping's.
   */
  syncForCpu(id: number, offset: number, length: number): void;
  /** Makes what the driver wrote to part of a live mapping visible to the device. Throws as {@link syncForCpu} does. */
  syncForDevice(id: number, offset: number, length: number): void;

  /**
   * Maps a region once for many requests, contiguous for the device. The default for drivers, because mapping per
   * request is what makes IOMMUs slow. Throws {@link DmaError} `ERR_DMA_EXHAUSTED` or `ERR_DMA_RANGE`.
   */
  premap(address: number, length: number, direction: DmaDirection): DmaRegion;

  /**
   * Allocates zeroed memory that both sides see without syncing: rings and descriptor tables. `alignment` (a power of
   * two) holds for both addresses. Throws {@link DmaError} `ERR_DMA_EXHAUSTED`.
   */
  allocateCoherent(length: number, alignment: number): DmaRegion;

  /**
   * Returns once the device knows every address that {@link map} gave: a queue calls it before it publishes buffers,
   * as Linux calls `iotlb_sync_map` after a series of maps. Absent where the device needs no word of a new address, or
   * `map` itself waits for the device; regions are known when they are returned. Never throws. Hot: no allocation where
   * nothing was mapped since the last call.
   */
  syncMap?(): void;

  /**
   * The guest-physical address that the platform's tables give for a device address at this moment. -1 where they give
   * none, and where a device may still use an old translation from a cache. For a mapping that copies it is the address
   * of the copy. `undefined` where the platform cannot read its tables. Cold: the platform may have to ask the owner of
   * the tables.
   */
  resolve?(low: number, high: number): number;

  /**
   * The steps of {@link resolve}, for people: each table in turn and what it says of the address, up to where the
   * address leads or where it is stopped. Absent where the platform cannot read its tables. Cold.
   */
  walk?(low: number, high: number): readonly AddressStep[];

  /** Unmaps and releases everything that is still live. The device must have been reset before. */
  dispose(): void;
}

/** Whether a buffer is copied, so that the device has the address of the copy: by the path, or beyond the mask. */
export function isCopied(
  { path, limits }: Pick<DmaMapping, 'path' | 'limits'>,
  address: number,
  length: number,
): boolean {
  return path.startsWith('bounced') || address + length > (limits.copiedFrom ?? Infinity);
}

/** One step of the way from a device address to guest memory. */
export interface AddressStep {
  /** The table, or what takes its place: `TCE table of the window at 0x0`, `page table, level 2`. */
  readonly table: string;
  /** What it says of the address: `entry 3 points at page 0x4000, read and write`. */
  readonly says: string;
}

/** Which queue asks a platform for a mapping, and for how large a one. */
export interface MappingRequest {
  /** Index of the queue. */
  readonly queue: number;
  /** How many mappings can live at once: the segments that the queue can hold. */
  readonly capacity: number;
}

/**
 * How a buffer's address reaches the device, chosen once by negotiation and fixed until reset:
 * - `physical`: the guest-physical address; the platform is not consulted.
 * - `identity`: the platform maps, and every device address was verified to equal the physical one.
 * - `linear`: physical plus a constant.
 * - `translated`: each mapping gets an address of its own.
 * - `granted`: the number of a grant that lets the other side use one page; no shipped platform uses it.
 * - `bounced`: the address of a shared slot that the buffer is copied through, as is, or composed with one of the
 *   above.
 */
export const DMA_PATHS = [
  'physical',
  'identity',
  'linear',
  'translated',
  'granted',
  'bounced',
  'bounced+linear',
  'bounced+translated',
] as const;
/** One of {@link DMA_PATHS}. */
export type DmaPath = (typeof DMA_PATHS)[number];
