import { IommuPlatform, plainDeviceRule, type AddressRange, type IommuFacts } from '@virtio-platform/core';
import { pcInterruptRange, type DeviceAddressing, type DomainKind } from '@virtio-platform/core/dma';
import { LeakLog, type GuestMemory } from '@virtio-platform/core/memory';
import { REFERENCES, type NegotiationRule } from '@virtio-platform/core/negotiation';
import { openDomain, type OpenedDomain } from './domain/opened-domain.ts';
import { failsAny, type IntelIommuOptions } from './intel-iommu-options.ts';
import { MAPPING_STEPS } from './mapping-steps.ts';
import { takeOverUnit, type TakenUnit } from './takeover/take-over-unit.ts';
import { FailingInvalidationQueue } from './unit/failing-invalidation-queue.ts';
import { FailingVtdFacility } from './unit/failing-vtd-facility.ts';
import type { VtdFacility } from './unit/vtd-facility.ts';
import type { VtdFault } from './unit/vtd-fault.ts';

const ADDRESS_MEANINGS: Readonly<Record<DomainKind, string>> = {
  translated:
    'each buffer gets I/O virtual pages of its own below 2 GiB, with an entry of exactly its permissions for each page',
  'pass-through': 'the unit lets the device’s addresses through, so they are physical ones, which was probed',
  identity: 'page tables lead each address to itself, which was probed',
};

/** The kernel of an x86 guest behind Intel VT-d, whose faults are read from its fault registers and cleared there. */
export class IntelIommuPlatform extends IommuPlatform<VtdFault, OpenedDomain> {
  readonly name = 'intel-iommu';
  readonly rules: readonly NegotiationRule[];
  readonly #options: IntelIommuOptions;
  #freeFormer: (() => void) | undefined;

  /**
   * Starts the unit. Throws {@link DmaError} when that fails, and then the tables are freed if the unit confirmed its
   * stop. With `takeover` the unit is taken over first; `freeFormer` frees the memory of a kernel that crashed, at the
   * end.
   */
  constructor(
    options: IntelIommuOptions,
    memory: GuestMemory,
    facility: VtdFacility,
    freeFormer?: () => void,
    addressing?: DeviceAddressing,
  ) {
    const failing = failingFacility(facility, memory, options);
    const unit = failing ?? facility;
    const taken = options.takeover && takeOverUnit(unit, memory, options);
    const leaks = new LeakLog(memory);
    super(options.domain, openDomain(unit, memory, options, leaks, taken, addressing), leaks, failing);
    this.#options = options;
    this.#freeFormer = freeFormer;
    this.rules = [...intelIommuRules(options), ...(taken === undefined ? [] : [takeoverRule(taken)])];
  }

  /** The unit translates no address of an interrupt, whether it remaps interrupts or not. */
  override get addressRanges(): readonly AddressRange[] {
    return [...super.addressRanges, pcInterruptRange(this.#options.confinesEveryDevice)];
  }

  override dispose(): void {
    super.dispose();
    this.#freeFormer?.();
    this.#freeFormer = undefined;
  }

  protected facts(): IommuFacts {
    const { confinesEveryDevice, domain, interruptRemapping } = this.#options;
    return {
      addressMeaning: ADDRESS_MEANINGS[domain],
      mappingSteps: MAPPING_STEPS[domain],
      confinesEveryDevice,
      interruptsExposed: !interruptRemapping,
      interruptsOption: `platform.interruptRemapping: ${interruptRemapping}`,
    };
  }
}

type FailingFacility = FailingInvalidationQueue | FailingVtdFacility;

/** The unit as the driver sees it where the options have it fail. */
function failingFacility(
  facility: VtdFacility,
  memory: GuestMemory,
  { failures, invalidation }: IntelIommuOptions,
): FailingFacility | undefined {
  if (!failsAny(failures)) return undefined;
  return invalidation === 'queued'
    ? new FailingInvalidationQueue(facility, memory, failures)
    : new FailingVtdFacility(facility, failures.invalidation);
}

/** The rule that says what became of a former owner's tables. */
function takeoverRule({ summary }: TakenUnit): NegotiationRule {
  return {
    name: 'vtd-takes-the-unit-over',
    source: 'Linux init_dmars, copy_translation_tables, iommu_load_old_irte',
    stage: 'access',
    apply: (negotiation) => negotiation.note(summary),
  };
}

/** The rules that an x86 guest behind VT-d adds to negotiation. They only add notes; core's rules decide. */
export function intelIommuRules({
  confinesEveryDevice,
  domain,
}: Pick<IntelIommuOptions, 'confinesEveryDevice' | 'domain'>): readonly NegotiationRule[] {
  return [
    plainDeviceRule({
      name: 'vtd-plain-device-bypasses',
      source:
        'QEMU virtio_bus_device_plugged: without iommu_platform the device gets address_space_memory; ' +
        'Linux commit 1a937693993f for real ones',
      references: [REFERENCES['linux-1a937693993f']],
      unit: 'the remapping unit',
      confinesEveryDevice,
    }),
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
