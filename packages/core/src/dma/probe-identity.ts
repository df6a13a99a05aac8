import { isCodedError } from '../errors/coded-error.ts';
import { PAGE_SIZE, type GuestMemory } from '../memory/guest-memory.ts';
import { DmaDirection } from './dma-region.ts';
import type { DmaMapping } from './dma-mapping.ts';
/**
 * Whether a mapping's device addresses are physical addresses: maps one page and compares. Identity is probed, never
 * assumed: a POWER guest's 64-bit window maps all of memory one to one and is still off by 2^59. Compare virtio-win
 * `VirtIOWdfDeviceCheckIOMMUActive` and the probe asked for in the 2019 thread (Tsirkin, 10 August).
 */
export function probeIdentity(mapping: DmaMapping, memory: GuestMemory): boolean {
  const page = memory.allocate(PAGE_SIZE, PAGE_SIZE, mapping.limits.reach);
  const words = new Uint32Array(2);
  try {
    const id = mapping.map(page, PAGE_SIZE, DmaDirection.ToDevice, words, 0);
    if (id < 0) return false;
    mapping.unmap(id, 0);
    return words[0]! + words[1]! * 0x1_0000_0000 === page;
  } finally {
    memory.free(page);
  }
}

/** Like {@link probeIdentity}, for coherent memory such as a bounce pool. `false` when no memory is left. */
export function probeCoherentIdentity(mapping: DmaMapping): boolean {
  const words = new Uint32Array(2);
  try {
    const region = mapping.allocateCoherent(PAGE_SIZE, PAGE_SIZE);
    region.writeDeviceAddress(0, words, 0);
    region.release();
    return words[0]! + words[1]! * 0x1_0000_0000 === region.address;
  } catch (error) {
    if (!isCodedError(error)) throw error;
    return false;
  }
}

/** As {@link probeIdentity}, of a mapping that was opened for it: disposes of the mapping. */
export function probeOpened(mapping: DmaMapping, memory: GuestMemory): boolean {
  try {
    return probeIdentity(mapping, memory);
  } finally {
    mapping.dispose();
  }
}
