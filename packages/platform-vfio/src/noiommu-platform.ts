import { type MappingRequest, type Platform } from '@virtio-platform/core';
import { DirectDmaMapping, probeIdentity, type DmaMapping, type DmaPath } from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';
import type { NegotiationRule, PlatformTraits } from '@virtio-platform/core/negotiation';
import type { ByteOrder } from '@virtio-platform/core/queue';
import { wrongContainer, type VfioContainer } from './container/vfio-container.ts';
import { noiommuRules } from './vfio-rules.ts';
/**
 * A process whose device has no IOMMU in front of it. It cannot map memory, so it reads the physical addresses of the
 * memory that it locked from /proc/self/pagemap and gives these to the device. The device reaches all of memory, and
 * through it so does the process.
 */
export class NoiommuPlatform implements Platform {
  readonly name = 'vfio';
  readonly rules: readonly NegotiationRule[];
  readonly guestByteOrder: ByteOrder = 'little';
  readonly traits: PlatformTraits;
  readonly #memory: GuestMemory;

  constructor(memory: GuestMemory, container: VfioContainer) {
    if (container.type !== 'noiommu') throw wrongContainer(container, 'noiommu');
    this.#memory = memory;
    this.rules = noiommuRules(container);
    this.traits = {
      restrictedMemory: false,
      isolates: false,
      processOnly: true,
      mappedPath: 'identity',
      identityVerified: probeIdentity(this.#open(1), memory),
      addressMeaning: 'the physical address, which the process found by itself: there is no IOMMU to map it',
      pathOption: 'platform.container: noiommu',
      factOptions: { isolates: 'platform.container: noiommu' },
      mappingSteps: {
        map: 'The process passes the physical address that it found by itself; no IOMMU is programmed.',
        unmap: 'Nothing was programmed, so nothing is taken back: the device could still reach the bytes.',
        region: 'The region gets its physical address; no IOMMU is programmed.',
        release: 'The memory goes back to the process; no table has to change.',
        access: 'No IOMMU stands in between: the address is physical, and the device reaches all of memory.',
      },
    };
  }

  openMapping(_path: DmaPath, request: MappingRequest): DmaMapping {
    return this.#open(request.capacity);
  }

  dispose(): void {}

  #open(capacity: number): DmaMapping {
    return new DirectDmaMapping(this.#memory, { path: 'identity', capacity });
  }
}
