import { GUEST_MEMORY, inject, type MappingRequest, type Platform } from '@virtio-platform/core';
import type { DmaMapping, DmaPath } from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';
import type { NegotiationRule, PlatformTraits } from '@virtio-platform/core/negotiation';
import type { ByteOrder } from '@virtio-platform/core/queue';
import { injectable, type InjectionToken } from 'tsyringe';
import { FailingVtdFacility } from './failing-vtd-facility.ts';
import { failsAny, type Domain, type IntelIommuOptions } from './intel-iommu-options.ts';
import { intelIommuRules } from './intel-iommu-rules.ts';
import { openDomain, type OpenedDomain } from './opened-domain.ts';
import { VTD_FACILITY, type VtdFacility } from './vtd-facility.ts';
import type { VtdFault } from './vtd-fault.ts';

export const INTEL_IOMMU_OPTIONS: InjectionToken<IntelIommuOptions> = Symbol.for(
  '@virtio-platform/platform-intel-iommu:Options',
);

const VTD: InjectionToken<VtdFacility> = VTD_FACILITY;

const ADDRESS_MEANINGS: Readonly<Record<Domain, string>> = {
  translated:
    'each buffer gets I/O virtual pages of its own below 2 GiB, with an entry of exactly its permissions for each page',
  'pass-through': 'the unit lets the device’s addresses through, so they are physical ones, which was probed',
  identity: 'page tables lead each address to itself, which was probed',
};

/**
 * The kernel of an x86 guest behind Intel VT-d. The unit runs as soon as there is a platform, as a kernel's does from boot: a device that is
 * behind it reaches nothing that was not mapped, also under a driver that keeps to no rule. One that bypasses it is not touched by that.
 */
@injectable()
export class IntelIommuPlatform implements Platform {
  readonly name = 'intel-iommu';
  readonly rules: readonly NegotiationRule[];
  readonly guestByteOrder: ByteOrder = 'little';
  readonly #options: IntelIommuOptions;
  readonly #mappedPath: 'translated' | 'identity';
  #traits: PlatformTraits | undefined;
  #domain: OpenedDomain | undefined;

  /** Starts the unit. Throws {@link DmaError} where it cannot be, and then nothing is left behind. */
  constructor(
    @inject(INTEL_IOMMU_OPTIONS) options: IntelIommuOptions,
    @inject(GUEST_MEMORY) memory: GuestMemory,
    @inject(VTD) facility: VtdFacility,
  ) {
    const { failures, domain } = options;
    const unit = failsAny(failures) ? new FailingVtdFacility(facility, failures.invalidation) : facility;
    this.#options = options;
    this.rules = intelIommuRules(options);
    this.#mappedPath = domain === 'translated' ? 'translated' : 'identity';
    this.#domain = openDomain(unit, memory, options);
  }

  /** Read for the first time, this probes a page: what is said of addresses was looked at. */
  get traits(): PlatformTraits {
    this.#traits ??= this.#stateTraits(this.#opened());
    return this.#traits;
  }

  /** Bytes of I/O virtual addresses that nobody gets, because the unit did not confirm that the device lost them. */
  get keptBytes(): number {
    return this.#domain?.keptBytes ?? 0;
  }

  openMapping(path: DmaPath, request: MappingRequest): DmaMapping {
    if (path !== this.#mappedPath)
      throw new TypeError(`intel-iommu maps ${this.#mappedPath} with these options, not ${path}`);
    return this.#opened().openMapping(request.capacity);
  }

  /**
   * What the unit itself recorded of this device since the last call, read out of its fault registers and cleared there. It keeps few,
   * so this is not all that happened; and what a device does that bypasses the unit is not in it.
   */
  recordedFaults(): readonly VtdFault[] {
    return this.#domain?.takeFaults() ?? [];
  }

  dispose(): void {
    this.#domain?.close();
    this.#domain = undefined;
  }

  #stateTraits(opened: OpenedDomain): PlatformTraits {
    const { confinesEveryDevice, domain } = this.#options;
    return {
      restrictedMemory: false,
      isolates: domain === 'translated',
      mappedPath: this.#mappedPath,
      addressMeaning: ADDRESS_MEANINGS[domain],
      reachesAllMemory: opened.reachesAllMemory,
      identityVerified: opened.isIdentity(),
      // Through the other domains a device that takes its addresses for physical ones is right.
      confinesEveryDevice: confinesEveryDevice && domain === 'translated',
      // This unit remaps addresses, and not interrupts.
      interruptsExposed: true,
    };
  }

  #opened(): OpenedDomain {
    if (this.#domain === undefined) throw new TypeError('this intel-iommu platform was disposed');
    return this.#domain;
  }
}
