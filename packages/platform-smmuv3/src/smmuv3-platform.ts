import { IommuPlatform, plainDeviceRule, type IommuFacts, type PlatformStatistics } from '@virtio-platform/core';
import type { DeviceAddressing, DomainKind } from '@virtio-platform/core/dma';
import { LeakLog, type GuestMemory } from '@virtio-platform/core/memory';
import type { NegotiationRule } from '@virtio-platform/core/negotiation';
import { openDomain, type OpenedDomain } from './domain/opened-domain.ts';
import { MAPPING_STEPS } from './mapping-steps.ts';
import type { Smmuv3Options } from './smmuv3-options.ts';
import { FailingSmmuFacility } from './unit/failing-smmu-facility.ts';
import type { SmmuFacility } from './unit/smmu-facility.ts';
import type { SmmuFault } from './unit/smmu-fault.ts';

const ADDRESS_MEANINGS: Readonly<Record<DomainKind, string>> = {
  translated: 'each buffer gets I/O virtual pages of its own below 2 GiB, with an entry of stage 1 for each page',
  'pass-through': 'the stream table lets the device’s addresses through, so they are physical ones, which was probed',
  identity: 'translation tables lead each address to itself, which was probed',
};

/** The kernel of an Arm guest behind an SMMUv3. The unit drops events while its event queue is full. */
export class Smmuv3Platform extends IommuPlatform<SmmuFault, OpenedDomain> {
  readonly name = 'smmuv3';
  readonly rules: readonly NegotiationRule[];
  readonly #options: Smmuv3Options;
  readonly #isolatedMsi: boolean;

  /**
   * Starts the unit. Throws {@link DmaError} when that fails, and then the tables are freed if the unit confirmed its
   * stop.
   */
  constructor(options: Smmuv3Options, memory: GuestMemory, facility: SmmuFacility, addressing?: DeviceAddressing) {
    const { domain, failures } = options;
    const fails = Object.keys(failures.invalidation).length > 0;
    const failing = fails ? new FailingSmmuFacility(facility, memory, failures.invalidation) : undefined;
    const leaks = new LeakLog(memory);
    super(domain, openDomain(failing ?? facility, memory, options, leaks, addressing), leaks, failing);
    this.#options = options;
    this.#isolatedMsi = facility.isolatedMsi === true;
    this.rules = smmuv3Rules(options);
  }

  /**
   * Events of this device that {@link recordedFaults} has returned, how often the event queue was full, and errors that
   * the unit reported of itself.
   */
  override get statistics(): PlatformStatistics {
    const { lostEvents = 0, globalErrors = 0 } = this.domain ?? {};
    return {
      ...super.statistics,
      unit: { events: this.events, 'full event queues': lostEvents, 'global errors': globalErrors },
    };
  }

  protected facts(): IommuFacts {
    const { confinesEveryDevice, domain } = this.#options;
    return {
      addressMeaning: ADDRESS_MEANINGS[domain],
      mappingSteps: MAPPING_STEPS[domain],
      confinesEveryDevice,
      // The unit translates the address of a message, and not the interrupt that the message is for.
      interruptsExposed: !this.#isolatedMsi,
      // An entry of stage 1 is read-only, or readable and writable.
      writableIsReadable: domain === 'translated',
    };
  }
}

/** The rules that an Arm guest behind an SMMUv3 adds to negotiation. They only add notes; core's rules decide. */
export function smmuv3Rules({
  confinesEveryDevice,
  domain,
}: Pick<Smmuv3Options, 'confinesEveryDevice' | 'domain'>): readonly NegotiationRule[] {
  return [
    plainDeviceRule({
      name: 'smmuv3-plain-device-bypasses',
      source: 'QEMU virtio_bus_device_plugged: without iommu_platform the device gets address_space_memory',
      unit: 'the SMMU',
      confinesEveryDevice,
    }),
    {
      name: 'smmuv3-domain-of-the-device',
      source: 'Arm IHI 0070 §5.2 (STE.Config); Linux iommu_get_default_domain_type',
      stage: 'access',
      apply(negotiation) {
        negotiation.note(
          {
            translated: 'a DMA domain of its own, by stage 1: the device loses a buffer with its unmapping',
            'pass-through': 'the stream table entry bypasses translation: nothing confines the device',
            identity: 'a domain that is filled one to one: nothing confines the device to its buffers',
          }[domain],
        );
      },
    },
  ];
}
