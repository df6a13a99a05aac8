import { type MappingRequest, type Platform } from '@virtio-platform/core';
import {
  addressEnd,
  BouncedMappings,
  DirectDmaMapping,
  FULL_ADDRESSING,
  MaskedDmaMapping,
  probeIdentity,
  type AddressRange,
  type BouncePoolStatistics,
  type DeviceAddressing,
  type DmaMapping,
  type DmaPath,
} from '@virtio-platform/core/dma';
import { VIRTIO_F_ANY_LAYOUT, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import type { GuestMemory } from '@virtio-platform/core/memory';
import type { NegotiationRule, PlatformTraits } from '@virtio-platform/core/negotiation';
import type { ByteOrder } from '@virtio-platform/core/queue';
import type { LegacyOptions } from './options.ts';

/**
 * A guest without an IOMMU: every device address is a physical address. Also for a device that offers ACCESS_PLATFORM
 * the platform maps each address to itself. What lies beyond the mask of a narrow device is copied through a pool below
 * it.
 */
export class LegacyPlatform implements Platform {
  readonly name = 'legacy';
  readonly traits: PlatformTraits;
  readonly rules: readonly NegotiationRule[];
  readonly guestByteOrder: ByteOrder;
  readonly #memory: GuestMemory;
  readonly #addressing: DeviceAddressing;
  /** Of a device that does not reach all of memory. */
  readonly #bounced: BouncedMappings | undefined;

  constructor(options: LegacyOptions, memory: GuestMemory, addressing: DeviceAddressing = FULL_ADDRESSING) {
    this.#memory = memory;
    this.#addressing = addressing;
    const isNarrow = memory.size > addressEnd(addressing);
    const { pool: bytes, poolLimit: limit } = options;
    const pools = { bytes, limit, minAlignMask: addressing.minAlignMask };
    this.#bounced = isNarrow ? new BouncedMappings(memory, pools, () => this.#direct(1)) : undefined;
    this.guestByteOrder = options.guestEndian;
    this.rules = legacyRules(options);
    this.traits = {
      restrictedMemory: false,
      isolates: false,
      mappedPath: 'identity',
      identityVerified: this.#probe(),
      reachesAllMemory: !isNarrow,
      addressMeaning: isNarrow
        ? 'no IOMMU: the guest-physical address, or that of a copy below the mask of the device; probed with one page'
        : 'no IOMMU: the platform gives the guest-physical address, probed with one page',
      mappingSteps: {
        map: isNarrow
          ? 'There is no IOMMU. A buffer that the device reaches gets its guest-physical address; one beyond the ' +
            'mask of the device is copied into a slot below, and gets the address of the slot.'
          : 'There is no IOMMU, so the platform gives the guest-physical address itself and programs nothing.',
        unmap: 'Nothing was programmed, so nothing is taken back: the device could still reach the bytes.',
        region: 'There is no IOMMU: the region gets its guest-physical address, and nothing is programmed.',
        release: 'The memory goes back to the guest; no table has to change.',
        access: 'No IOMMU stands in between: the address is guest-physical.',
      },
    };
  }

  openMapping(_path: DmaPath, request: MappingRequest): DmaMapping {
    const direct = this.#direct(request.capacity);
    if (this.#bounced === undefined) return direct;
    return new MaskedDmaMapping(direct, this.#bounced.openMapping(request), request.capacity);
  }

  get bouncePool(): BouncePoolStatistics | undefined {
    return this.#bounced?.poolStatistics;
  }

  get addressRanges(): readonly AddressRange[] {
    return this.#bounced?.addressRanges ?? [];
  }

  dispose(): void {
    this.#bounced?.dispose();
  }

  #direct(capacity: number): DmaMapping {
    const { addressBits } = this.#addressing;
    const limit = addressEnd(this.#addressing);
    return new DirectDmaMapping(this.#memory, { path: 'identity', capacity, limit, addressBits });
  }

  #probe(): boolean {
    return probeIdentity(this.#direct(1), this.#memory);
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
