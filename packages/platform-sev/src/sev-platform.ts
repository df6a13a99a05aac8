import {
  CodedError,
  failureStatistics,
  isCodedError,
  type AddressRange,
  type FacilityToken,
  type MappingRequest,
  type Platform,
  type PlatformStatistics,
} from '@virtio-platform/core';
import {
  addressEnd,
  BOUNCE_SEGMENT_SLOTS,
  BOUNCE_SLOT_SIZE,
  BouncedMappings,
  DirectDmaMapping,
  FULL_ADDRESSING,
  probeCoherentIdentity,
  type BouncePoolStatistics,
  type CoherentMemory,
  type DeviceAddressing,
  type DmaMapping,
  type DmaPath,
} from '@virtio-platform/core/dma';
import { VIRTIO_F_ACCESS_PLATFORM } from '@virtio-platform/core/features';
import { LeakLog, SharedPageAllocator, type GuestMemory, type MemoryConversion } from '@virtio-platform/core/memory';
import { REFERENCES, type NegotiationRule, type PlatformTraits } from '@virtio-platform/core/negotiation';
import type { ByteOrder } from '@virtio-platform/core/queue';
import { hasOnePool, type SevOptions } from './options.ts';
import { sevMappingSteps } from './mapping-steps.ts';
import { CoherentPool } from './coherent-pool.ts';
import { RefusingConversion } from './refusing-conversion.ts';
import { RestrictedMemory } from './restricted-memory.ts';

export type { MemoryConversion };

/**
 * The facility that this platform needs of a machine: a {@link MemoryConversion}, which converts pages between
 * encrypted with the guest's key and plain.
 */
export const MEMORY_CONVERSION: FacilityToken = Symbol.for('@virtio-platform/platform-sev:MemoryConversion');

/** A realm of Arm CCA: a shared page is reached at its address with the highest of so many bits set. */
export interface Realm {
  readonly ipaBits: number;
}

/** Token of the {@link Realm} that `technology: cca` needs beside the conversion. */
export const REALM_FACILITY: FacilityToken = Symbol.for('@virtio-platform/platform-sev:Realm');

/**
 * A guest whose memory is protected from devices: either encrypted, or out of their reach except for one pool. Rings
 * are in shared memory. Buffers stay private and are copied through one pool that all queues use. A device address is
 * the physical address of a shared page; in a realm of Arm CCA with the top bit set, so that its device, trusted or
 * not, reaches the shared half (Linux `dma_addr_unencrypted`).
 */
export class SevPlatform implements Platform {
  readonly name = 'sev';
  readonly rules: readonly NegotiationRule[];
  readonly guestByteOrder: ByteOrder = 'little';
  readonly traits: PlatformTraits;
  /** Pages whose conversion the host refused. */
  readonly leaks: LeakLog = new LeakLog();
  readonly #coherent: CoherentPool | undefined;
  readonly #bounced: BouncedMappings;
  readonly #failing: RefusingConversion | undefined;

  constructor(
    options: SevOptions,
    memory: GuestMemory,
    conversion: MemoryConversion,
    addressing: DeviceAddressing = FULL_ADDRESSING,
    realm?: Realm,
  ) {
    const { technology, pool: bytes, poolLimit: limit, halvePool: halves, areas, boundary } = options;
    const minAlignMask = Math.max(options.minAlignMask, addressing.minAlignMask);
    const { addressBits } = addressing;
    const end = addressEnd(addressing);
    const { granule } = options;
    const { conversion: schedule } = options.failures;
    const failing = Object.keys(schedule).length > 0 ? new RefusingConversion(conversion, schedule) : undefined;
    this.#failing = failing;
    const shared = new SharedPageAllocator(memory, failing ?? conversion, this.leaks, granule);
    const alias = realm === undefined ? 0 : realmAlias(memory, realm);
    const openOver = (coherent: CoherentMemory, maxRegionSize?: number): DmaMapping =>
      new DirectDmaMapping(memory, {
        path: alias === 0 ? 'identity' : 'linear',
        capacity: 1,
        coherent,
        maxRegionSize,
        offset: BigInt(alias),
        limit: alias === 0 ? end : alias,
        addressBits: realm?.ipaBits ?? addressBits,
      });
    const isRestricted = hasOnePool(options);
    const coherent =
      options.coherentPool === undefined ? undefined : new CoherentPool(memory, shared, options.coherentPool);
    this.#coherent = coherent;
    const bounced = new BouncedMappings(
      memory,
      { bytes, limit, halves, areas, minAlignMask, ...(boundary !== undefined && { boundary }) },
      () => openOver(shared),
      (pools) =>
        isRestricted
          ? openOver(new RestrictedMemory(memory, pools), BOUNCE_SEGMENT_SLOTS * BOUNCE_SLOT_SIZE)
          : openOver(coherent ?? shared),
    );
    this.#bounced = bounced;
    this.rules = sevRules(options);
    this.traits = {
      restrictedMemory: true,
      isolates: false,
      restrictedUnchecked: technology === 'cca' || technology === 'pkvm',
      mappedPath: options.emulatedIommu ? 'translated' : alias === 0 ? 'bounced' : 'bounced+linear',
      identityVerified: undefined,
      addressMeaning: isRestricted
        ? 'a physical address in the one pool that the device reaches: buffers are copied through it'
        : `the physical address of a page shared with the device${alias === 0 ? '' : ', with the top bit set'}: ` +
          'buffers are copied through a shared pool',
      pathOption: options.emulatedIommu ? 'platform.emulatedIommu: true' : `platform.technology: ${technology}`,
      mappingSteps: sevMappingSteps(options),
      get bounceIsPhysical() {
        // Nothing but the pool is ever shared.
        if (technology === 'pkvm') return probePool(bounced);
        return !options.emulatedIommu && probeCoherentIdentity(openOver(shared));
      },
    };
  }

  /** Bytes of guest memory that stay unusable because the host refused to convert them. */
  get leakedBytes(): number {
    return this.leaks.bytes;
  }

  openMapping(_path: DmaPath, request: MappingRequest): DmaMapping {
    return this.#bounced.openMapping(request);
  }

  get bouncePool(): BouncePoolStatistics | undefined {
    return this.#bounced.poolStatistics;
  }

  get statistics(): PlatformStatistics {
    return failureStatistics(this.#failing?.failed);
  }

  get addressRanges(): readonly AddressRange[] {
    return this.#bounced.addressRanges;
  }

  dispose(): void {
    this.#bounced.dispose();
    this.#coherent?.dispose();
  }
}

/** The address of the shared half of a realm. */
function realmAlias({ size }: GuestMemory, { ipaBits }: Realm): number {
  const alias = 2 ** (ipaBits - 1);
  if (size > alias) {
    const message = `a realm with addresses of ${ipaBits} bits has its memory below 2^${ipaBits - 1}`;
    throw new CodedError('ERR_MACHINE_MEMORY', message, {
      hint: 'raise platform.ipaBits, or set machine.memory to less',
    });
  }
  return alias;
}

/** Whether the pool is at its physical address; `false` where there is no memory for it. */
function probePool(bounced: BouncedMappings): boolean {
  try {
    return bounced.probeIdentity();
  } catch (error) {
    if (!isCodedError(error)) throw error;
    return false;
  }
}

/**
 * The negotiation rules of encrypted memory. The core's own rules, by the trait `restrictedMemory`, refuse a device
 * without VERSION_1 and ACCESS_PLATFORM, and a driver that is a process.
 */
export function sevRules({ emulatedIommu }: SevOptions): readonly NegotiationRule[] {
  return [
    {
      name: 'encrypted-guest-has-no-emulated-iommu',
      source: 'mail: Lendacky, 2020 (an emulated IOMMU is not supported in an SEV guest)',
      references: [REFERENCES['lendacky-2020-02-21']],
      stage: 'restricted-memory',
      apply(negotiation) {
        if (!emulatedIommu) return negotiation.note('no emulated IOMMU');
        if (!negotiation.input.offered.has(VIRTIO_F_ACCESS_PLATFORM)) return negotiation.note('the device bypasses it');
        negotiation.refuse(
          'ENOTSUP',
          'the emulated IOMMU of this guest would map private pages',
          { platform: 'emulatedIommu: false' },
          { option: 'platform.emulatedIommu: true' },
        );
      },
    },
  ];
}
