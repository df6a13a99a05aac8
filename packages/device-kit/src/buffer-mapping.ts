import type { BufferMapping } from '@virtio-platform/core';
import { checkRegion, type DmaDirection, type DmaMapping, type DmaRegion } from '@virtio-platform/core/dma';
import { PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';

/** Memory for buffers of one kind. */
export interface BufferArea {
  /** Guest-physical address. */
  readonly address: number;
  /** Where the device sees it, `undefined` where each buffer is mapped by itself. */
  readonly region: DmaRegion | undefined;
  /** Gives everything back; only after the device stopped using it. */
  readonly release: () => void;
}

/**
 * Allocates an area of at least `bytes` (0 for none at all). Throws {@link DmaError}, and then nothing stays allocated.
 */
export function openBufferArea(
  memory: GuestMemory,
  mapping: DmaMapping,
  bytes: number,
  direction: DmaDirection,
  buffers: BufferMapping,
): BufferArea {
  if (bytes === 0) return { address: 0, region: undefined, release: () => {} };
  // Whole pages, so that no other data shares a page that is mapped for the device.
  const unit = Math.max(PAGE_SIZE, mapping.limits.granule ?? 0);
  const length = Math.ceil(bytes / unit) * unit;
  if (buffers === 'coherent') {
    const given = mapping.allocateCoherent(length, PAGE_SIZE);
    const region = checkRegion('allocateCoherent', given, length, PAGE_SIZE, memory);
    return { address: region.address, region, release: () => region.release() };
  }
  const address = memory.allocate(length, unit, mapping.limits.reach);
  if (buffers === 'streaming') return { address, region: undefined, release: () => memory.free(address) };
  try {
    const region = checkRegion('premap', mapping.premap(address, length, direction), length, 1, memory);
    const release = (): void => {
      region.release();
      memory.free(address);
    };
    return { address, region, release };
  } catch (error) {
    memory.free(address);
    throw error;
  }
}

/** An area to be: at least so many bytes, and who writes it. */
export type AreaSize = readonly [bytes: number, direction: DmaDirection];

/** Allocates areas one after the other. Throws {@link DmaError}, and then nothing stays allocated. */
export function openBufferAreas<const Sizes extends readonly AreaSize[]>(
  memory: GuestMemory,
  mapping: DmaMapping,
  buffers: BufferMapping,
  sizes: Sizes,
): { readonly [Index in keyof Sizes]: BufferArea } {
  const areas: BufferArea[] = [];
  try {
    for (const [bytes, direction] of sizes) areas.push(openBufferArea(memory, mapping, bytes, direction, buffers));
  } catch (error) {
    for (const area of areas) area.release();
    throw error;
  }
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- one for each of the sizes
  return areas as unknown as { readonly [Index in keyof Sizes]: BufferArea };
}
