import { DmaError } from '@virtio-platform/core';
import { DmaDirection } from '@virtio-platform/core/dma';
import { LeakLog, PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';
import { openDomain } from '../domain/opened-domain.ts';
import { intelIommuOptionsSchema } from '../intel-iommu-options.ts';
import type { VtdFacility } from '../unit/vtd-facility.ts';
import type { FormerOwnerOptions } from './former-owner-options.ts';

/**
 * Does with the unit what the kernel before did, as far as it left it: translation is on, and its buffers are mapped
 * with both permissions. Returns what frees its memory, the unit's tables in it, without telling the unit: called after
 * a kexec at once, and of a crash when the kernel after it ends. Throws {@link DmaError}: then nothing is allocated.
 */
export function leaveTables(facility: VtdFacility, memory: GuestMemory, owner: FormerOwnerOptions): () => void {
  const { buffers, ...options } = owner;
  const checked = intelIommuOptionsSchema.parse(options);
  const section = 'platform.formerOwner';
  const domain = openDomain(facility, memory, checked, new LeakLog(memory), undefined, undefined, section);
  const mapping = domain.openMapping(buffers);
  const words = new Uint32Array(2);
  const mapped: number[] = [];
  const free = (): void => {
    domain.abandon();
    for (const address of mapped) memory.free(address);
  };
  try {
    for (let i = 0; i < buffers; i++) {
      const address = allocateBuffer(memory, buffers);
      mapped.push(address);
      if (mapping.map(address, PAGE_SIZE, DmaDirection.Bidirectional, words, 0) < 0) throw noRoom(buffers);
    }
  } catch (error) {
    free();
    throw error;
  }
  return free;
}

/** Memory of one of its buffers. A smaller queue of the next kernel leaves it no more. */
function allocateBuffer(memory: GuestMemory, buffers: number): number {
  try {
    return memory.allocate(PAGE_SIZE, PAGE_SIZE);
  } catch (cause) {
    throw noRoom(buffers, cause);
  }
}

function noRoom(buffers: number, cause?: unknown): DmaError {
  return new DmaError('ERR_DMA_EXHAUSTED', `intel-iommu: the former owner has no room for ${buffers} buffers`, {
    hint: 'lower platform.formerOwner.buffers, or enlarge machine.memory',
    cause,
  });
}
