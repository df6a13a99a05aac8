import { GUEST_MEMORY, inject, type MappingRequest, type Platform } from '@virtio-platform/core';
import {
  BouncedMappings,
  DirectDmaMapping,
  probeCoherentIdentity,
  type BouncePoolStatistics,
  type DmaMapping,
  type DmaPath,
} from '@virtio-platform/core/dma';
import { SharedPageAllocator, type GuestMemory } from '@virtio-platform/core/memory';
import type { NegotiationRule, PlatformTraits } from '@virtio-platform/core/negotiation';
import type { ByteOrder } from '@virtio-platform/core/queue';
import { injectable, type InjectionToken } from 'tsyringe';
import { MEMORY_CONVERSION, type MemoryConversion } from './memory-conversion.ts';
import type { SevOptions } from './options.ts';
import { PoolMemory } from './pool-memory.ts';
import { sevRules } from './sev-rules.ts';

export const SEV_OPTIONS: InjectionToken<SevOptions> = Symbol.for('@virtio-platform/platform-sev:Options');

/**
 * A guest whose memory is protected from devices: encrypted, or but for one pool out of their reach. Rings are shared memory; buffers
 * stay private and are copied through one pool that all queues use. A device address is the physical address of a shared page.
 */
@injectable()
export class SevPlatform implements Platform {
  readonly name = 'sev';
  readonly rules: readonly NegotiationRule[];
  readonly guestByteOrder: ByteOrder = 'little';
  readonly traits: PlatformTraits;
  readonly #shared: SharedPageAllocator;
  readonly #restricted: PoolMemory | undefined;
  readonly #bounced: BouncedMappings;

  constructor(
    @inject(SEV_OPTIONS) options: SevOptions,
    @inject(GUEST_MEMORY) memory: GuestMemory,
    @inject<MemoryConversion>(MEMORY_CONVERSION) conversion: MemoryConversion,
  ) {
    const { technology, pool: bytes, areas, minAlignMask, boundary } = options;
    const shared = new SharedPageAllocator(memory, conversion);
    // As much again as the slots, for rings.
    const restricted = technology === 'restricted-pool' ? new PoolMemory(memory, shared, 2 * bytes) : undefined;
    const openShared = (): DmaMapping =>
      new DirectDmaMapping(memory, { path: 'identity', capacity: 1, coherent: restricted ?? shared });
    this.#shared = shared;
    this.#restricted = restricted;
    this.#bounced = new BouncedMappings(
      memory,
      { bytes, areas, minAlignMask, ...(boundary !== undefined && { boundary }) },
      openShared,
    );
    this.rules = sevRules(options);
    this.traits = {
      restrictedMemory: true,
      isolates: false,
      mappedPath: options.emulatedIommu ? 'translated' : 'bounced',
      identityVerified: undefined,
      addressMeaning:
        restricted === undefined
          ? 'the physical address of a page shared with the device: buffers are copied through a shared pool'
          : 'a physical address in the one pool that the device reaches: buffers are copied through it',
      get bounceIsPhysical() {
        return !options.emulatedIommu && probeCoherentIdentity(openShared());
      },
    };
  }

  /** Bytes of guest memory that were given up because the host refused to convert them. */
  get leakedBytes(): number {
    return this.#shared.leakedBytes;
  }

  openMapping(_path: DmaPath, request: MappingRequest): DmaMapping {
    return this.#bounced.openMapping(request);
  }

  get bouncePool(): BouncePoolStatistics | undefined {
    return this.#bounced.poolStatistics;
  }

  dispose(): void {
    this.#bounced.dispose();
    this.#restricted?.dispose();
  }
}
