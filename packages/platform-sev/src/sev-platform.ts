import {
  BouncedDmaMapping,
  BouncePool,
  DirectDmaMapping,
  GUEST_MEMORY,
  inject,
  PAGE_SIZE,
  probeCoherentIdentity,
  SharedMemory,
  type ByteOrder,
  type DmaMapping,
  type DmaPath,
  type GuestMemory,
  type MappingRequest,
  type NegotiationRule,
  type Platform,
  type PlatformTraits,
  type SharedBouncePool,
} from '@virtio-platform/core';
import { injectable, type InjectionToken } from 'tsyringe';
import { MEMORY_CONVERSION, type MemoryConversion } from './memory-conversion.ts';
import type { SevOptions } from './options.ts';
import { sevRules } from './sev-rules.ts';

export const SEV_OPTIONS: InjectionToken<SevOptions> = Symbol.for('@virtio-platform/platform-sev:Options');

/**
 * An encrypted x86 guest: the device reaches only pages that were shared with it. Rings are shared memory; buffers stay
 * private and are copied through one pool that all queues use. A device address is the physical address of a shared page.
 */
@injectable()
export class SevPlatform implements Platform {
  readonly name = 'sev';
  readonly rules: readonly NegotiationRule[];
  readonly guestByteOrder: ByteOrder = 'little';
  readonly traits: PlatformTraits;
  readonly #memory: GuestMemory;
  readonly #poolBytes: number;
  readonly #shared: SharedMemory;
  readonly #poolMapping: DirectDmaMapping;
  readonly #mappings: DmaMapping[] = [];
  #pool: SharedBouncePool | undefined;

  constructor(
    @inject(SEV_OPTIONS) options: SevOptions,
    @inject(GUEST_MEMORY) memory: GuestMemory,
    @inject<MemoryConversion>(MEMORY_CONVERSION) conversion: MemoryConversion,
  ) {
    this.#memory = memory;
    this.#poolBytes = options.pool;
    this.#shared = new SharedMemory(memory, conversion);
    this.#poolMapping = this.#openShared();
    this.rules = sevRules(options);
    const probe = (): boolean => !options.emulatedIommu && probeCoherentIdentity(this.#poolMapping);
    this.traits = {
      restrictedMemory: true,
      isolates: false,
      mappedPath: options.emulatedIommu ? 'translated' : 'bounced',
      identityVerified: undefined,
      addressMeaning: 'the physical address of a page shared with the device: buffers are copied through a shared pool',
      get bounceIsPhysical() {
        return probe();
      },
    };
  }

  /** Bytes of guest memory that were given up because the host refused to convert them. */
  get leakedBytes(): number {
    return this.#shared.leakedBytes;
  }

  openMapping(_path: DmaPath, request: MappingRequest): DmaMapping {
    const mapping = new BouncedDmaMapping(this.#memory, this.#openPool(), this.#openShared(), request.capacity);
    this.#mappings.push(mapping);
    return mapping;
  }

  /** Disposes the mappings before the pool: what they still hold lies in it. */
  dispose(): void {
    for (const mapping of this.#mappings) mapping.dispose();
    this.#poolMapping.dispose();
    this.#pool = undefined;
  }

  /** Shares the pool with the device, once, when the first queue needs it. */
  #openPool(): SharedBouncePool {
    this.#pool ??= {
      slots: new BouncePool(this.#poolBytes),
      region: this.#poolMapping.allocateCoherent(this.#poolBytes, PAGE_SIZE),
    };
    return this.#pool;
  }

  /** Only its regions are used, and nothing is mapped by buffer: an address that was never shared is of no use to the device. */
  #openShared(): DirectDmaMapping {
    return new DirectDmaMapping(this.#memory, { path: 'identity', capacity: 1, coherent: this.#shared });
  }
}
