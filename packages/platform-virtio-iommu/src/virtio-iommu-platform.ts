import type { AddressRange, MappingRequest, Platform, PlatformStatistics } from '@virtio-platform/core';
import type { DeviceAddressing, DmaMapping, DmaPath } from '@virtio-platform/core/dma';
import { VIRTIO_F_ACCESS_PLATFORM } from '@virtio-platform/core/features';
import { LeakLog, type GuestMemory } from '@virtio-platform/core/memory';
import type { NegotiationRule, PlatformTraits } from '@virtio-platform/core/negotiation';
import type { ByteOrder } from '@virtio-platform/core/queue';
import { openDomain, type OpenedDomain } from './domain/opened-domain.ts';
import { MAPPING_STEPS } from './mapping-steps.ts';
import type { ReservedRegion } from './unit/reserved-regions.ts';
import type { VirtioIommuFacility } from './unit/virtio-iommu-facility.ts';
import type { VirtioIommuFault } from './unit/virtio-iommu-fault.ts';
import type { Domain, VirtioIommuOptions } from './virtio-iommu-options.ts';

const ADDRESS_MEANINGS: Readonly<Record<Domain, string>> = {
  translated: 'each buffer gets I/O virtual pages of its own, by a MAP request with exactly its permissions',
  bypass: 'the unit lets the device’s addresses through, so they are physical ones, which was probed',
  identity: 'one mapping leads each address to itself, with holes at reserved regions, which was probed',
};

/**
 * The kernel of a guest behind a virtio-iommu. The constructor starts the unit and attaches the device, as a kernel
 * does at boot: a device behind the unit reaches only mapped memory, even if its driver breaks the rules. A device that
 * bypasses the unit is not affected.
 */
export class VirtioIommuPlatform implements Platform {
  readonly name = 'virtio-iommu';
  readonly rules: readonly NegotiationRule[];
  readonly guestByteOrder: ByteOrder = 'little';
  /** Memory behind I/O virtual pages that the unit did not unmap. */
  readonly leaks: LeakLog;
  readonly #kind: Domain;
  readonly #mappedPath: 'translated' | 'identity';
  #traits: PlatformTraits | undefined;
  #domain: OpenedDomain | undefined;
  #events = 0;

  /** Starts the unit. Throws {@link DmaError} where that fails, and then the unit is reset. */
  constructor(
    options: VirtioIommuOptions,
    memory: GuestMemory,
    facility: VirtioIommuFacility,
    addressing?: DeviceAddressing,
  ) {
    this.#kind = options.domain;
    this.#mappedPath = options.domain === 'translated' ? 'translated' : 'identity';
    this.leaks = new LeakLog(memory);
    this.#domain = openDomain(facility, memory, options, this.leaks, addressing);
    this.rules = virtioIommuRules(options.domain, this.#domain.bypass);
  }

  /** The first read probes a page, so that the traits state verified facts. */
  get traits(): PlatformTraits {
    this.#traits ??= this.#stateTraits(this.#opened());
    return this.#traits;
  }

  /** Bytes of I/O virtual addresses that stay unused because the unit did not unmap them. */
  get keptBytes(): number {
    return this.#domain?.keptBytes ?? 0;
  }

  /** The reserved regions of the device, as PROBE told them. */
  get reserved(): readonly ReservedRegion[] {
    return this.#domain?.reserved ?? [];
  }

  openMapping(path: DmaPath, request: MappingRequest): DmaMapping {
    if (path !== this.#mappedPath)
      throw new TypeError(`virtio-iommu maps ${this.#mappedPath} with these options, not ${path}`);
    return this.#opened().openMapping(request.capacity);
  }

  get addressRanges(): readonly AddressRange[] {
    const range = this.#domain?.range;
    return range === undefined ? [] : [range];
  }

  /** Events of the unit so far, those of other endpoints not counted, and its reserved regions. */
  get statistics(): PlatformStatistics {
    return { unit: { events: this.#events, 'reserved regions': this.reserved.length } };
  }

  /**
   * The faults of this device that the unit reported by events since the last call. The unit drops those for which the
   * driver has no buffer on the event queue, so the list can be incomplete.
   */
  recordedFaults(): readonly VirtioIommuFault[] {
    const faults = this.#domain?.takeFaults() ?? [];
    this.#events += faults.length;
    return faults;
  }

  dispose(): void {
    this.#domain?.close();
    this.#domain = undefined;
  }

  #stateTraits(opened: OpenedDomain): PlatformTraits {
    return {
      restrictedMemory: false,
      isolates: this.#kind === 'translated',
      mappedPath: this.#mappedPath,
      addressMeaning: ADDRESS_MEANINGS[this.#kind],
      pathOption: `platform.domain: ${this.#kind}`,
      factOptions: { isolates: `platform.domain: ${this.#kind}`, identityVerified: `platform.domain: ${this.#kind}` },
      mappingSteps: MAPPING_STEPS[this.#kind],
      reachesAllMemory: opened.reachesAllMemory,
      identityVerified: opened.isIdentity(),
      // Interrupts are writes to a reserved region, which the unit lets through.
      interruptsExposed: opened.reserved.some(({ kind }) => kind === 'msi'),
    };
  }

  #opened(): OpenedDomain {
    if (this.#domain === undefined) throw new TypeError('this virtio-iommu platform was disposed');
    return this.#domain;
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
    {
      name: 'virtio-iommu-plain-device-bypasses',
      source:
        'virtio 1.4 §6 (ACCESS_PLATFORM); QEMU virtio_bus_device_plugged: without iommu_platform the device gets ' +
        'address_space_memory',
      stage: 'access',
      apply(negotiation) {
        negotiation.note(
          negotiation.input.offered.has(VIRTIO_F_ACCESS_PLATFORM)
            ? 'the device offers ACCESS_PLATFORM: its accesses go through the virtio-iommu'
            : 'the device does not offer ACCESS_PLATFORM: it bypasses the virtio-iommu, ' +
                'so an I/O virtual address would be read as a physical one',
        );
      },
    },
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
