import type { AddressRange, MappingRequest, Platform, PlatformStatistics } from '@virtio-platform/core';
import type { DmaMapping, DmaPath, DomainKind } from '@virtio-platform/core/dma';
import { VIRTIO_F_ACCESS_PLATFORM } from '@virtio-platform/core/features';
import { LeakLog, type GuestMemory } from '@virtio-platform/core/memory';
import type { NegotiationRule, PlatformTraits } from '@virtio-platform/core/negotiation';
import type { ByteOrder } from '@virtio-platform/core/queue';
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

/**
 * The kernel of an Arm guest behind an SMMUv3. The constructor starts the unit, as a kernel does at boot: a device
 * behind the unit reaches only mapped memory, even if its driver breaks the rules. A device that bypasses the unit is
 * not affected.
 */
export class Smmuv3Platform implements Platform {
  readonly name = 'smmuv3';
  readonly rules: readonly NegotiationRule[];
  readonly guestByteOrder: ByteOrder = 'little';
  /** Memory behind I/O virtual pages whose invalidation the unit did not confirm. */
  readonly leaks: LeakLog;
  readonly #options: Smmuv3Options;
  readonly #mappedPath: 'translated' | 'identity';
  #traits: PlatformTraits | undefined;
  #domain: OpenedDomain | undefined;
  #events = 0;

  /**
   * Starts the unit. Throws {@link DmaError} when that fails, and then the tables are freed if the unit confirmed its
   * stop.
   */
  constructor(options: Smmuv3Options, memory: GuestMemory, facility: SmmuFacility) {
    const { domain, failures } = options;
    this.#options = options;
    this.leaks = new LeakLog(memory);
    this.rules = smmuv3Rules(options);
    this.#mappedPath = domain === 'translated' ? 'translated' : 'identity';
    const fails = Object.keys(failures.invalidation).length > 0;
    const used = fails ? new FailingSmmuFacility(facility, memory, failures.invalidation) : facility;
    this.#domain = openDomain(used, memory, options, this.leaks);
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
      throw new TypeError(`smmuv3 maps ${this.#mappedPath} with these options, not ${path}`);
    return this.#opened().openMapping(request.capacity);
  }

  get addressRanges(): readonly AddressRange[] {
    const range = this.#domain?.range;
    return range === undefined ? [] : [range];
  }

  /** Events of this device so far, how often the event queue was full, and errors that the unit reported of itself. */
  get statistics(): PlatformStatistics {
    const { lostEvents = 0, globalErrors = 0 } = this.#domain ?? {};
    return { unit: { events: this.#events, 'full event queues': lostEvents, 'global errors': globalErrors } };
  }

  /**
   * The faults of this device that the unit wrote as events since the last call. The unit drops events while its queue
   * is full, so the list can be incomplete; accesses of a device that bypasses the unit are not in it.
   */
  recordedFaults(): readonly SmmuFault[] {
    const faults = this.#domain?.takeFaults() ?? [];
    this.#events += faults.length;
    return faults;
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
      // A message of an interrupt is a write like any other: it reaches what is mapped, and no doorbell is.
      interruptsExposed: false,
      // An entry of stage 1 is read-only, or readable and writable.
      writableIsReadable: domain === 'translated',
    };
  }

  #opened(): OpenedDomain {
    if (this.#domain === undefined) throw new TypeError('this smmuv3 platform was disposed');
    return this.#domain;
  }
}

/** The rules that an Arm guest behind an SMMUv3 adds to negotiation. They only add notes; core's rules decide. */
export function smmuv3Rules({
  confinesEveryDevice,
  domain,
}: Pick<Smmuv3Options, 'confinesEveryDevice' | 'domain'>): readonly NegotiationRule[] {
  return [
    {
      name: 'smmuv3-plain-device-bypasses',
      source: 'QEMU virtio_bus_device_plugged: without iommu_platform the device gets address_space_memory',
      stage: 'access',
      apply(negotiation) {
        if (negotiation.input.offered.has(VIRTIO_F_ACCESS_PLATFORM)) {
          negotiation.note('the device offers ACCESS_PLATFORM: its accesses go through the SMMU');
        } else if (confinesEveryDevice) {
          negotiation.note(
            'the device does not offer ACCESS_PLATFORM, and its accesses go through the SMMU all the same',
          );
        } else {
          negotiation.note(
            'the device does not offer ACCESS_PLATFORM: it goes past the SMMU, ' +
              'so an I/O virtual address would be read as a physical one',
          );
        }
      },
    },
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
