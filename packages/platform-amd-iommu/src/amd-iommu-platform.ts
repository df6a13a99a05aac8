import { IommuPlatform, plainDeviceRule, type AddressRange, type IommuFacts } from '@virtio-platform/core';
import { pcInterruptRange, type DeviceAddressing, type DomainKind } from '@virtio-platform/core/dma';
import { LeakLog, type GuestMemory } from '@virtio-platform/core/memory';
import type { NegotiationRule } from '@virtio-platform/core/negotiation';
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
 * The kernel of an x86 guest behind an AMD IOMMU. Where the event log of the unit is silent, {@link recordedFaults} has
 * what the machine noticed; and where that is nothing either, one fault without an address if the PCI status of the
 * unit shows a refused access.
 */
export class AmdIommuPlatform extends IommuPlatform<AmdFault, OpenedDomain> {
  readonly name = 'amd-iommu';
  readonly rules: readonly NegotiationRule[];
  readonly #options: AmdIommuOptions;

  /**
   * Starts the unit. Throws {@link DmaError} when that fails, and then the tables are freed if the unit confirmed its
   * stop.
   */
  constructor(
    options: AmdIommuOptions,
    memory: GuestMemory,
    facility: AmdIommuFacility,
    addressing?: DeviceAddressing,
  ) {
    const { domain, failures } = options;
    const failing = failsAny(failures) ? new FailingAmdFacility(facility, memory, failures.invalidation) : undefined;
    const leaks = new LeakLog(memory);
    super(domain, openDomain(failing ?? facility, memory, options, leaks, addressing), leaks, failing);
    this.#options = options;
    this.rules = amdIommuRules(options);
  }

  /** The unit translates no address of an interrupt. */
  override get addressRanges(): readonly AddressRange[] {
    return [...super.addressRanges, pcInterruptRange(this.#options.confinesEveryDevice)];
  }

  protected facts(): IommuFacts {
    const { confinesEveryDevice, domain } = this.#options;
    return {
      addressMeaning: ADDRESS_MEANINGS[domain],
      mappingSteps: MAPPING_STEPS[domain],
      confinesEveryDevice,
      // This driver has the unit remap addresses but not interrupts.
      interruptsExposed: true,
    };
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
    plainDeviceRule({
      name: 'amd-iommu-plain-device-bypasses',
      source: 'QEMU virtio_bus_device_plugged: without iommu_platform the device gets address_space_memory',
      unit: 'the unit',
      confinesEveryDevice,
    }),
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
