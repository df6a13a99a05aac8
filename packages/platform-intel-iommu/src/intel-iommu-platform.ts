import {
  GUEST_MEMORY,
  inject,
  isCodedError,
  type ByteOrder,
  type DmaMapping,
  type DmaPath,
  type GuestMemory,
  type MappingRequest,
  type NegotiationRule,
  type Platform,
  type PlatformTraits,
} from '@virtio-platform/core';
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
    'each buffer gets I/O virtual pages of its own below 4 GiB, with an entry of exactly its permissions for each page',
  'pass-through': 'the unit lets the device’s addresses through, so they are physical ones, which was probed',
  identity: 'page tables lead each address to itself, which was probed',
};

/**
 * The kernel of an x86 guest behind Intel VT-d. The unit is started with the first need for it, so that a device which bypasses it
 * leaves no trace; but a unit that confines every device runs from the start, for the device is behind it whatever it offers.
 */
@injectable()
export class IntelIommuPlatform implements Platform {
  readonly name = 'intel-iommu';
  readonly rules: readonly NegotiationRule[];
  readonly guestByteOrder: ByteOrder = 'little';
  readonly #options: IntelIommuOptions;
  readonly #memory: GuestMemory;
  readonly #facility: VtdFacility;
  readonly #mappedPath: 'translated' | 'identity';
  #traits: PlatformTraits | undefined;
  #domain: OpenedDomain | undefined;
  #isDisposed = false;

  constructor(
    @inject(INTEL_IOMMU_OPTIONS) options: IntelIommuOptions,
    @inject(GUEST_MEMORY) memory: GuestMemory,
    @inject(VTD) facility: VtdFacility,
  ) {
    this.#options = options;
    this.#memory = memory;
    this.#facility = failsAny(options.failures)
      ? new FailingVtdFacility(facility, options.failures.invalidation)
      : facility;
    this.rules = intelIommuRules(options);
    this.#mappedPath = options.domain === 'translated' ? 'translated' : 'identity';
  }

  /** Read for the first time, this starts the unit where what it says has to be looked at: an identity, or that nothing gets past. */
  get traits(): PlatformTraits {
    this.#traits ??= this.#stateTraits();
    return this.#traits;
  }

  /** Bytes of I/O virtual addresses that nobody gets, because the unit did not confirm that the device lost them. */
  get keptBytes(): number {
    return this.#domain?.keptBytes ?? 0;
  }

  openMapping(path: DmaPath, request: MappingRequest): DmaMapping {
    if (path !== this.#mappedPath)
      throw new TypeError(`intel-iommu maps ${this.#mappedPath} with these options, not ${path}`);
    return this.#open().openMapping(request.capacity);
  }

  /**
   * What the unit itself recorded of this device since the last call, read out of its fault registers and cleared there. It keeps few,
   * so this is not all that happened; and what a device does that bypasses the unit is not in it.
   */
  recordedFaults(): readonly VtdFault[] {
    return this.#domain?.takeFaults() ?? [];
  }

  dispose(): void {
    this.#isDisposed = true;
    this.#close();
  }

  #stateTraits(): PlatformTraits {
    const { confinesEveryDevice, domain } = this.#options;
    if (confinesEveryDevice || domain !== 'translated') this.#open();
    const probe = (): boolean | undefined => this.#probe();
    return {
      restrictedMemory: false,
      isolates: domain === 'translated',
      mappedPath: this.#mappedPath,
      addressMeaning: ADDRESS_MEANINGS[domain],
      reachesAllMemory: this.#domain?.reachesAllMemory ?? false,
      // Through the other domains a device that takes its addresses for physical ones is right.
      confinesEveryDevice: confinesEveryDevice && domain === 'translated',
      get identityVerified() {
        return probe();
      },
    };
  }

  /** Looks whether addresses are physical ones. Starts the unit for that, and stops it again if nobody uses it. */
  #probe(): boolean | undefined {
    const wasOpen = this.#domain !== undefined;
    try {
      return this.#open().isIdentity();
    } catch (error) {
      if (!isCodedError(error)) throw error;
      return undefined;
    } finally {
      if (!wasOpen) this.#close();
    }
  }

  #open(): OpenedDomain {
    if (this.#isDisposed) throw new TypeError('this intel-iommu platform was disposed');
    this.#domain ??= openDomain(this.#facility, this.#memory, this.#options);
    return this.#domain;
  }

  #close(): void {
    this.#domain?.close();
    this.#domain = undefined;
  }
}
