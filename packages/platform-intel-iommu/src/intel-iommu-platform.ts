import { GUEST_MEMORY, inject, type MappingRequest, type Platform } from '@virtio-platform/core';
import type { DmaMapping, DmaPath } from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';
import type { NegotiationRule, PlatformTraits } from '@virtio-platform/core/negotiation';
import type { ByteOrder } from '@virtio-platform/core/queue';
import { injectable, type InjectionToken } from 'tsyringe';
import { VIRTIO_F_ACCESS_PLATFORM } from '@virtio-platform/core/features';
import { FailingVtdFacility } from './unit/failing-vtd-facility.ts';
import { failsAny, type Domain, type IntelIommuOptions } from './intel-iommu-options.ts';
import { openDomain, type OpenedDomain } from './domain/opened-domain.ts';
import { VTD_FACILITY, type VtdFacility } from './unit/vtd-facility.ts';
import type { VtdFault } from './unit/vtd-fault.ts';
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

/** What an x86 guest behind VT-d adds to negotiation. Nothing here decides: core's rules do, and these say what it means. */
export function intelIommuRules({
  confinesEveryDevice,
  domain,
}: Pick<IntelIommuOptions, 'confinesEveryDevice' | 'domain'>): readonly NegotiationRule[] {
  return [
    {
      name: 'vtd-plain-device-bypasses',
      source:
        'QEMU virtio_bus_device_plugged: without iommu_platform the device gets address_space_memory; Linux commit 1a937693993f for real ones',
      stage: 'access',
      apply(negotiation) {
        if (negotiation.input.offered.has(VIRTIO_F_ACCESS_PLATFORM)) {
          negotiation.note('the device offers ACCESS_PLATFORM: its accesses go through the remapping unit');
        } else if (confinesEveryDevice) {
          negotiation.note(
            'the device does not offer ACCESS_PLATFORM, and its accesses go through the unit all the same',
          );
        } else {
          negotiation.note(
            'the device does not offer ACCESS_PLATFORM: it bypasses the unit, so an I/O virtual address would be read as a physical one',
          );
        }
      },
    },
    {
      name: 'vtd-domain-of-the-device',
      source: 'Linux iommu_get_default_domain_type: iommu=pt, and identity domains filled one to one',
      stage: 'access',
      apply(negotiation) {
        negotiation.note(
          {
            translated: 'a DMA domain of its own: the device loses a buffer with its unmapping',
            'pass-through': 'a pass-through domain: nothing confines the device',
            identity: 'a domain that is filled one to one: nothing confines the device to its buffers',
          }[domain],
        );
      },
    },
  ];
}
