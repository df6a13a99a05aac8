import { type MappingRequest, type Platform } from '@virtio-platform/core';
import { DirectDmaMapping, probeIdentity, type DmaMapping, type DmaPath } from '@virtio-platform/core/dma';
import { VIRTIO_F_ANY_LAYOUT, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import type { GuestMemory } from '@virtio-platform/core/memory';
import type { NegotiationRule, PlatformTraits } from '@virtio-platform/core/negotiation';
import type { ByteOrder } from '@virtio-platform/core/queue';
import type { LegacyOptions } from './options.ts';

/**
 * A guest without an IOMMU: every device address is a physical address. Also for a device that offers ACCESS_PLATFORM
 * the platform maps each address to itself.
 */
export class LegacyPlatform implements Platform {
  readonly name = 'legacy';
  readonly traits: PlatformTraits;
  readonly rules: readonly NegotiationRule[];
  readonly guestByteOrder: ByteOrder;
  readonly #memory: GuestMemory;

  constructor(options: LegacyOptions, memory: GuestMemory) {
    this.#memory = memory;
    this.guestByteOrder = options.guestEndian;
    this.rules = legacyRules(options);
    this.traits = {
      restrictedMemory: false,
      isolates: false,
      mappedPath: 'identity',
      identityVerified: this.#probe(),
      reachesAllMemory: true,
      addressMeaning: 'no IOMMU: the platform gives the guest-physical address, probed with one page',
      mappingSteps: {
        map: 'There is no IOMMU, so the platform gives the guest-physical address itself and programs nothing.',
        unmap: 'Nothing was programmed, so nothing is taken back: the device could still reach the bytes.',
        region: 'There is no IOMMU: the region gets its guest-physical address, and nothing is programmed.',
        release: 'The memory goes back to the guest; no table has to change.',
        access: 'No IOMMU stands in between: the address is guest-physical.',
      },
    };
  }

  openMapping(_path: DmaPath, request: MappingRequest): DmaMapping {
    return new DirectDmaMapping(this.#memory, { path: 'identity', capacity: request.capacity });
  }

  dispose(): void {}

  #probe(): boolean {
    const mapping = new DirectDmaMapping(this.#memory, { path: 'identity', capacity: 1 });
    return probeIdentity(mapping, this.#memory);
  }
}

/** The negotiation rules of a platform without an IOMMU. */
function legacyRules(options: LegacyOptions): readonly NegotiationRule[] {
  return [
    {
      name: 'transitional-detects-legacy',
      source: 'virtio 1.4 §2.2.3: a transitional driver knows a legacy device by VERSION_1 not being offered',
      stage: 'interface',
      apply(negotiation) {
        const { input } = negotiation;
        if (input.interface !== 'legacy') return negotiation.note('the driver uses the modern interface');
        const kind = input.offered.has(VIRTIO_F_VERSION_1) ? 'a transitional' : 'a legacy';
        negotiation.note(
          `${kind} device: contiguous ring, ${options.guestEndian}-endian, addressed by page frame number`,
        );
      },
    },
    {
      name: 'any-layout-if-offered',
      source: 'virtio 1.4 §6.3: a transitional driver accepts ANY_LAYOUT where it is offered',
      stage: 'access',
      apply(negotiation) {
        const { accepted, input } = negotiation;
        if (accepted.has(VIRTIO_F_ANY_LAYOUT)) negotiation.note('requests may be framed in any way');
        else if (input.interface === 'legacy')
          negotiation.note('without ANY_LAYOUT: header, data and status in descriptors of their own');
        else negotiation.note('modern devices take any layout');
      },
    },
  ];
}
