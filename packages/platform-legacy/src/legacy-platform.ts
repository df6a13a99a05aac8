import { GUEST_MEMORY, inject, type MappingRequest, type Platform } from '@virtio-platform/core';
import { DirectDmaMapping, probeIdentity, type DmaMapping, type DmaPath } from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';
import type { NegotiationRule, PlatformTraits } from '@virtio-platform/core/negotiation';
import type { ByteOrder } from '@virtio-platform/core/queue';
import { injectable, type InjectionToken } from 'tsyringe';
import { legacyRules } from './legacy-rules.ts';
import type { LegacyOptions } from './options.ts';

export const LEGACY_OPTIONS: InjectionToken<LegacyOptions> = Symbol.for('@virtio-platform/platform-legacy:Options');

/**
 * A guest without any IOMMU: a device address is a physical address, whoever asks. A device that offers ACCESS_PLATFORM here
 * only asks the platform, which answers with the same address.
 */
@injectable()
export class LegacyPlatform implements Platform {
  readonly name = 'legacy';
  readonly traits: PlatformTraits;
  readonly rules: readonly NegotiationRule[];
  readonly guestByteOrder: ByteOrder;
  readonly #memory: GuestMemory;

  constructor(@inject(LEGACY_OPTIONS) options: LegacyOptions, @inject(GUEST_MEMORY) memory: GuestMemory) {
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
