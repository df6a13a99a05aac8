import { type AddressRange, type MappingRequest, type Platform } from '@virtio-platform/core';
import type { DeviceAddressing, DmaMapping, DmaPath, DomainKind } from '@virtio-platform/core/dma';
import { LeakLog, type GuestMemory } from '@virtio-platform/core/memory';
import { REFERENCES, type NegotiationRule, type PlatformTraits } from '@virtio-platform/core/negotiation';
import type { ByteOrder } from '@virtio-platform/core/queue';
import { VIRTIO_F_ACCESS_PLATFORM } from '@virtio-platform/core/features';
import { FailingInvalidationQueue } from './unit/failing-invalidation-queue.ts';
import { FailingVtdFacility } from './unit/failing-vtd-facility.ts';
import { failsAny, type IntelIommuOptions } from './intel-iommu-options.ts';
import { MAPPING_STEPS } from './mapping-steps.ts';
import { openDomain, type OpenedDomain } from './domain/opened-domain.ts';
import { takeOverUnit, type TakenUnit } from './takeover/take-over-unit.ts';
import { type VtdFacility } from './unit/vtd-facility.ts';
import type { VtdFault } from './unit/vtd-fault.ts';
const ADDRESS_MEANINGS: Readonly<Record<DomainKind, string>> = {
  translated:
    'each buffer gets I/O virtual pages of its own below 2 GiB, with an entry of exactly its permissions for each page',
  'pass-through': 'the unit lets the device’s addresses through, so they are physical ones, which was probed',
  identity: 'page tables lead each address to itself, which was probed',
};

/**
 * The kernel of an x86 guest behind Intel VT-d. The constructor starts the unit, as a kernel does at boot: a device
 * behind the unit reaches only mapped memory, even if its driver breaks the rules. A device that bypasses the unit is
 * not affected.
 */
export class IntelIommuPlatform implements Platform {
  readonly name = 'intel-iommu';
  readonly rules: readonly NegotiationRule[];
  readonly guestByteOrder: ByteOrder = 'little';
  /** Memory behind I/O virtual pages whose invalidation the unit did not confirm. */
  readonly leaks: LeakLog;
  readonly #options: IntelIommuOptions;
  readonly #mappedPath: 'translated' | 'identity';
  #freeFormer: (() => void) | undefined;
  #traits: PlatformTraits | undefined;
  #domain: OpenedDomain | undefined;

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
    const { domain } = options;
    this.#freeFormer = freeFormer;
    this.#options = options;
    this.leaks = new LeakLog(memory);
    this.#mappedPath = domain === 'translated' ? 'translated' : 'identity';
    const unit = failing(facility, memory, options);
    const taken = options.takeover && takeOverUnit(unit, memory, options);
    this.rules = [...intelIommuRules(options), ...(taken === undefined ? [] : [takeoverRule(taken)])];
    this.#domain = openDomain(unit, memory, options, this.leaks, taken, addressing);
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
      throw new TypeError(`intel-iommu maps ${this.#mappedPath} with these options, not ${path}`);
    return this.#opened().openMapping(request.capacity);
  }

  get addressRanges(): readonly AddressRange[] {
    const range = this.#domain?.range;
    return range === undefined ? [] : [range];
  }

  /**
   * The faults of this device that the unit recorded since the last call, read from its fault registers and cleared
   * there. The unit keeps few, so the list can be incomplete; accesses of a device that bypasses the unit are not in
   * it.
   */
  recordedFaults(): readonly VtdFault[] {
    return this.#domain?.takeFaults() ?? [];
  }

  dispose(): void {
    this.#domain?.close();
    this.#domain = undefined;
    this.#freeFormer?.();
    this.#freeFormer = undefined;
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
      // This unit remaps addresses but not interrupts.
      interruptsExposed: true,
    };
  }

  #opened(): OpenedDomain {
    if (this.#domain === undefined) throw new TypeError('this intel-iommu platform was disposed');
    return this.#domain;
  }
}

/** The unit as the driver sees it: one that fails where the options say so. */
function failing(facility: VtdFacility, memory: GuestMemory, options: IntelIommuOptions): VtdFacility {
  const { failures, invalidation } = options;
  if (!failsAny(failures)) return facility;
  return invalidation === 'queued'
    ? new FailingInvalidationQueue(facility, memory, failures)
    : new FailingVtdFacility(facility, failures.invalidation);
}

/** The rule that says what became of a former owner's tables. */
function takeoverRule({ summary }: TakenUnit): NegotiationRule {
  return {
    name: 'vtd-takes-the-unit-over',
    source: 'Linux init_dmars, copy_translation_tables',
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
    {
      name: 'vtd-plain-device-bypasses',
      source:
        'QEMU virtio_bus_device_plugged: without iommu_platform the device gets address_space_memory; ' +
        'Linux commit 1a937693993f for real ones',
      references: [REFERENCES['linux-1a937693993f']],
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
            'the device does not offer ACCESS_PLATFORM: it bypasses the unit, ' +
              'so an I/O virtual address would be read as a physical one',
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
