import type { AddressRange, MappingRequest, Platform } from '@virtio-platform/core';
import type { DmaMapping, DmaPath, DomainKind } from '@virtio-platform/core/dma';
import { VIRTIO_F_ACCESS_PLATFORM } from '@virtio-platform/core/features';
import { LeakLog, type GuestMemory } from '@virtio-platform/core/memory';
import type { NegotiationRule, PlatformTraits } from '@virtio-platform/core/negotiation';
import type { ByteOrder } from '@virtio-platform/core/queue';
import { failsAny, type AmdIommuOptions } from './amd-iommu-options.ts';
import { openDomain, type OpenedDomain } from './domain/opened-domain.ts';
import { MAPPING_STEPS } from './mapping-steps.ts';
import type { AmdIommuFacility } from './unit/amd-facility.ts';
import type { AmdFault } from './unit/amd-fault.ts';
import { FailingAmdFacility } from './unit/failing-amd-facility.ts';

const ADDRESS_MEANINGS: Readonly<Record<DomainKind, string>> = {
  translated:
    'each buffer gets I/O virtual pages of its own below 2 GiB, with an entry of exactly its permissions for each page',
  'pass-through': 'the unit lets the device’s addresses through, so they are physical ones, which was probed',
  identity: 'page tables lead each address to itself, which was probed',
};

/**
 * The kernel of an x86 guest behind an AMD IOMMU. The constructor starts the unit, as a kernel does at boot: a device
 * behind the unit reaches only mapped memory, even if its driver breaks the rules. A device that bypasses the unit is
 * not affected.
 */
export class AmdIommuPlatform implements Platform {
  readonly name = 'amd-iommu';
  readonly rules: readonly NegotiationRule[];
  readonly guestByteOrder: ByteOrder = 'little';
  /** Memory behind I/O virtual pages whose invalidation the unit did not confirm. */
  readonly leaks: LeakLog;
  readonly #options: AmdIommuOptions;
  readonly #mappedPath: 'translated' | 'identity';
  #traits: PlatformTraits | undefined;
  #domain: OpenedDomain | undefined;

  /**
   * Starts the unit. Throws {@link DmaError} when that fails, and then the tables are freed if the unit confirmed its
   * stop.
   */
  constructor(options: AmdIommuOptions, memory: GuestMemory, facility: AmdIommuFacility) {
    const { domain, failures } = options;
    this.#options = options;
    this.leaks = new LeakLog(memory);
    this.rules = amdIommuRules(options);
    this.#mappedPath = domain === 'translated' ? 'translated' : 'identity';
    const seen = failsAny(failures) ? new FailingAmdFacility(facility, memory, failures.invalidation) : facility;
    this.#domain = openDomain(seen, memory, options, this.leaks);
  }

  /** The first read probes a page, so that the traits state verified facts. */
  get traits(): PlatformTraits {
    this.#traits ??= this.#stateTraits(this.#opened());
    return this.#traits;
  }

  /** Bytes of I/O virtual addresses that stay unused because the unit did not confirm their invalidation. */
  get keptBytes(): number {
    return this.#domain?.keptBytes ?? 0;
  }

  openMapping(path: DmaPath, request: MappingRequest): DmaMapping {
    if (path !== this.#mappedPath)
      throw new TypeError(`amd-iommu maps ${this.#mappedPath} with these options, not ${path}`);
    return this.#opened().openMapping(request.capacity);
  }

  get addressRanges(): readonly AddressRange[] {
    const range = this.#domain?.range;
    return range === undefined ? [] : [range];
  }

  /**
   * The faults of this device since the last call: those of the event log; where the unit logs nothing, what the
   * machine noticed; and where that is nothing either, one without an address if the unit's PCI status shows a refused
   * access. Accesses of a device that bypasses the unit are not in it.
   */
  recordedFaults(): readonly AmdFault[] {
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
      pathOption: `platform.domain: ${domain}`,
      factOptions: {
        isolates: `platform.domain: ${domain}`,
        identityVerified: `platform.domain: ${domain}`,
        confinesEveryDevice: `platform.domain: ${domain}, platform.confinesEveryDevice: true`,
      },
      mappingSteps: MAPPING_STEPS[domain],
      reachesAllMemory: opened.reachesAllMemory,
      identityVerified: opened.isIdentity(),
      // In the other domains device addresses are physical ones.
      confinesEveryDevice: confinesEveryDevice && domain === 'translated',
      // This driver has the unit remap addresses but not interrupts.
      interruptsExposed: true,
    };
  }

  #opened(): OpenedDomain {
    if (this.#domain === undefined) throw new TypeError('this amd-iommu platform was disposed');
    return this.#domain;
  }
}

const DOMAIN_NOTES: Readonly<Record<DomainKind, string>> = {
  translated: 'a DMA domain of its own: the device loses a buffer with its unmapping',
  'pass-through': 'a pass-through domain (mode 0): nothing confines the device',
  identity: 'a domain that is filled one to one: nothing confines the device to its buffers',
};

/** The rules that an x86 guest behind an AMD IOMMU adds to negotiation. They only add notes; core's rules decide. */
export function amdIommuRules({
  confinesEveryDevice,
  domain,
}: Pick<AmdIommuOptions, 'confinesEveryDevice' | 'domain'>): readonly NegotiationRule[] {
  return [
    {
      name: 'amd-iommu-plain-device-bypasses',
      source: 'QEMU virtio_bus_device_plugged: without iommu_platform the device gets address_space_memory',
      stage: 'access',
      apply(negotiation) {
        if (negotiation.input.offered.has(VIRTIO_F_ACCESS_PLATFORM)) {
          negotiation.note('the device offers ACCESS_PLATFORM: its accesses go through the unit');
        } else if (confinesEveryDevice) {
          negotiation.note(
            'the device does not offer ACCESS_PLATFORM, and its accesses go through the unit all the same',
          );
        } else {
          negotiation.note(
            'the device does not offer ACCESS_PLATFORM: it bypasses the unit, ' +
              'so an I/O virtual address would be read as a physical one',
          );
        }
      },
    },
    {
      name: 'amd-iommu-domain-of-the-device',
      source: 'Linux amd_iommu_def_domain_type and iommu=pt; specification 48882, section 2.2.2.1 (Mode)',
      stage: 'access',
      apply(negotiation) {
        negotiation.note(DOMAIN_NOTES[domain]);
      },
    },
  ];
}
