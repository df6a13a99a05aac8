import {
  IommuPlatform,
  plainDeviceRule,
  type AddressRange,
  type IommuFacts,
  type PlatformStatistics,
} from '@virtio-platform/core';
import type { DeviceAddressing } from '@virtio-platform/core/dma';
import { LeakLog, type GuestMemory } from '@virtio-platform/core/memory';
import type { NegotiationRule } from '@virtio-platform/core/negotiation';
import { openDomain, type OpenedDomain } from './domain/opened-domain.ts';
import { MAPPING_STEPS } from './mapping-steps.ts';
import { interruptRanges, type ReservedRegion } from './unit/reserved-regions.ts';
import type { VirtioIommuFacility } from './unit/virtio-iommu-facility.ts';
import type { VirtioIommuFault } from './unit/virtio-iommu-fault.ts';
import type { Domain, VirtioIommuOptions } from './virtio-iommu-options.ts';

const ADDRESS_MEANINGS: Readonly<Record<Domain, string>> = {
  translated: 'each buffer gets I/O virtual pages of its own, by a MAP request with exactly its permissions',
  bypass: 'the unit lets the device’s addresses through, so they are physical ones, which was probed',
  identity: 'one mapping leads each address to itself, with holes at reserved regions, which was probed',
};

/**
 * The kernel of a guest behind a virtio-iommu, to whose domain it attaches the device. The unit drops events for which
 * the driver has no buffer on the event queue.
 */
export class VirtioIommuPlatform extends IommuPlatform<VirtioIommuFault, OpenedDomain> {
  readonly name = 'virtio-iommu';
  readonly rules: readonly NegotiationRule[];
  readonly #kind: Domain;
  readonly #isolatedMsi: boolean;

  /** Starts the unit. Throws {@link DmaError} where that fails, and then the unit is reset. */
  constructor(
    options: VirtioIommuOptions,
    memory: GuestMemory,
    facility: VirtioIommuFacility,
    addressing?: DeviceAddressing,
  ) {
    const leaks = new LeakLog(memory);
    const domain = openDomain(facility, memory, options, leaks, addressing);
    super(options.domain, domain, leaks, domain);
    this.#kind = options.domain;
    this.#isolatedMsi = facility.isolatedMsi === true;
    this.rules = virtioIommuRules(options.domain, domain.bypass);
  }

  /** The reserved regions of the device, as PROBE told them. */
  get reserved(): readonly ReservedRegion[] {
    return this.domain?.reserved ?? [];
  }

  /** The unit says by PROBE which reserved regions are those of interrupts. */
  override get addressRanges(): readonly AddressRange[] {
    return [...super.addressRanges, ...interruptRanges(this.reserved)];
  }

  /** Events of the unit so far, those of other endpoints not counted, and its reserved regions. */
  override get statistics(): PlatformStatistics {
    return { ...super.statistics, unit: { events: this.events, 'reserved regions': this.reserved.length } };
  }

  protected facts(): IommuFacts {
    return {
      addressMeaning: ADDRESS_MEANINGS[this.#kind],
      mappingSteps: MAPPING_STEPS[this.#kind],
      // The unit remaps no interrupt, whether or not PROBE tells of their addresses.
      interruptsExposed: !this.#isolatedMsi,
    };
  }
}

const DOMAIN_NOTES: Readonly<Record<Domain, string>> = {
  translated: 'a domain of its own: the device loses a buffer with its UNMAP',
  bypass: 'a bypass domain: nothing confines the device',
  identity: 'a domain that is mapped one to one: nothing confines the device to its buffers',
};

/** The rules that a guest behind a virtio-iommu adds to negotiation. They only add notes; core's rules decide. */
export function virtioIommuRules(domain: Domain, bypass: boolean | undefined): readonly NegotiationRule[] {
  return [
    plainDeviceRule({
      name: 'virtio-iommu-plain-device-bypasses',
      source:
        'virtio 1.4 §6 (ACCESS_PLATFORM); QEMU virtio_bus_device_plugged: without iommu_platform the device gets ' +
        'address_space_memory',
      unit: 'the virtio-iommu',
    }),
    {
      name: 'virtio-iommu-domain-of-the-device',
      source: 'virtio 1.4 §5.13.6.3 (ATTACH); Linux viommu_domain_map_identity',
      stage: 'access',
      apply(negotiation) {
        negotiation.note(DOMAIN_NOTES[domain]);
        if (bypass !== undefined)
          negotiation.note(`the unit ${bypass ? 'lets' : 'does not let'} endpoints without a domain through`);
      },
    },
  ];
}
