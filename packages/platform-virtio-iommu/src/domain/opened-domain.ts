import {
  DirectDmaMapping,
  FULL_ADDRESSING,
  probeIdentity,
  probeOpened,
  type AddressRange,
  type DeviceAddressing,
  type DmaMapping,
  type IommuDomain,
} from '@virtio-platform/core/dma';
import { formatByteSize, type GuestMemory, type LeakLog } from '@virtio-platform/core/memory';
import type { IommuConfig } from '../unit/iommu-config.ts';
import { VIRTIO_IOMMU_F_BYPASS } from '../unit/iommu-features.ts';
import { IommuUnit } from '../unit/iommu-unit.ts';
import { lackedFeature } from '../unit/lacked-feature.ts';
import { FailingRequests } from '../unit/mapping-requests.ts';
import {
  ACCESS_READ,
  ACCESS_WRITE,
  ATTACH_BYPASS,
  STATUS_NO_MEMORY,
  STATUS_OK,
  statusName,
} from '../unit/request-format.ts';
import type { ReservedRegion } from '../unit/reserved-regions.ts';
import { describeEvent, type VirtioIommuFault } from '../unit/virtio-iommu-fault.ts';
import { unresponsive, unsupported, type VirtioIommuFacility } from '../unit/virtio-iommu-facility.ts';
import { failsAny, type VirtioIommuOptions } from '../virtio-iommu-options.ts';
import { chooseWindow, LAST_END, moreAddresses } from './iova-window.ts';
import { TranslatedDomain } from './translated-domain.ts';
import { VirtioIommuDmaMapping, type MappingHints } from './virtio-iommu-dma-mapping.ts';

/** The domain of the device. To close it resets the unit. */
export interface OpenedDomain extends IommuDomain<VirtioIommuFault> {
  readonly reserved: readonly ReservedRegion[];
  /** Whether the unit lets endpoints without a domain through; `undefined` where it does not say. */
  readonly bypass: boolean | undefined;
  /** How many requests failed because the options say so, by kind; `undefined` where none is to. */
  readonly failed: Readonly<Record<string, number>> | undefined;
}

/** What a kind of domain gives. */
type DomainParts = Pick<OpenedDomain, 'openMapping' | 'isIdentity' | 'reachesAllMemory'> & {
  readonly range?: AddressRange;
  readonly domain?: TranslatedDomain;
};

/**
 * Starts the unit and attaches the device to the domain that the options ask for; `leaks` gets what it cannot take
 * back. Throws {@link DmaError}, and then the unit is reset.
 */
export function openDomain(
  facility: VirtioIommuFacility,
  memory: GuestMemory,
  options: VirtioIommuOptions,
  leaks: LeakLog,
  { addressBits }: DeviceAddressing = FULL_ADDRESSING,
): OpenedDomain {
  const unit = new IommuUnit(facility, memory, options);
  try {
    checkGranule(unit.config, options);
    const reserved = unit.probe();
    if (options.bypass !== 'keep') unit.writeBypass(options.bypass === 'on');
    const failing = failsAny(options.failures) ? new FailingRequests(unit, options.failures) : undefined;
    const terms = { ...options, leaks, reserved, addressBits, failing };
    return opened(unit, openParts(unit, memory, terms), terms);
  } catch (error) {
    unit.closeQuietly();
    throw error;
  }
}

/** Linux refuses every domain of such a unit (viommu_domain_finalise), also one that it does not translate for. */
function checkGranule({ granule }: IommuConfig, { guestPageSize }: VirtioIommuOptions): void {
  if (granule <= guestPageSize) return;
  const [smallest, ofGuest] = [formatByteSize(granule), formatByteSize(guestPageSize)];
  throw unsupported(
    `the smallest page of this unit is ${smallest}, and a page of the guest's kernel is ${ofGuest}`,
    `set platform.guestPageSize: ${smallest}, where the kernel has such pages, or use a unit with smaller ones`,
  );
}

function opened(unit: IommuUnit, parts: DomainParts, { reserved, failing }: DomainTerms): OpenedDomain {
  const { openMapping, isIdentity, reachesAllMemory, range, domain } = parts;
  const permissions = (low: number, high: number): number => domain?.permissions(low, high) ?? 0;
  return {
    openMapping,
    isIdentity: () => !unit.hasFailed && isIdentity(),
    reachesAllMemory,
    range,
    reserved,
    get bypass() {
      return unit.readBypass();
    },
    get failed() {
      return failing?.failed;
    },
    get keptBytes() {
      return domain?.keptBytes ?? 0;
    },
    takeFaults: () =>
      unit
        .takeEvents()
        .filter(({ endpoint }) => endpoint === unit.endpoint)
        .map((event) => describeEvent(event, permissions)),
    close: () => {
      if (unit.closeQuietly()) domain?.close();
    },
  };
}

type DomainTerms = VirtioIommuOptions & {
  readonly leaks: LeakLog;
  readonly reserved: readonly ReservedRegion[];
  readonly addressBits: number;
  readonly failing: FailingRequests | undefined;
};

function openParts(unit: IommuUnit, memory: GuestMemory, terms: DomainTerms): DomainParts {
  switch (terms.domain) {
    case 'bypass':
      return openBypass(unit, memory, terms);
    case 'identity':
      return openIdentity(unit, memory, terms);
    default:
      return openTranslated(unit, memory, terms);
  }
}

function openTranslated(unit: IommuUnit, memory: GuestMemory, terms: DomainTerms): DomainParts {
  const { granule } = unit.config;
  const behind = 2n ** BigInt(terms.addressBits);
  const window = chooseWindow(unit.config, terms.reserved, terms.aperture, behind);
  unit.attach(0);
  const { leaks, lacks, failures, addressBits, failing } = terms;
  const domain = new TranslatedDomain(window, granule, { usual: failing ?? unit, certain: unit }, addressBits);
  const isCut = window.count * granule < terms.aperture;
  const hints: MappingHints = {
    more: isCut ? moreAddresses(behind) : 'raise platform.aperture',
    failsMaps: Object.keys(failures.map).length > 0,
    lacks,
  };
  const openMapping = (capacity: number): DmaMapping =>
    new VirtioIommuDmaMapping(memory, domain, capacity, leaks, hints);
  const isIdentity = (): boolean => probeOpened(openMapping(1), memory);
  const range: AddressRange = {
    what: 'aperture of the domain',
    kind: 'window',
    deviceAddress: BigInt(window.first * granule),
    length: window.count * granule,
  };
  return { domain, openMapping, isIdentity, reachesAllMemory: false, range };
}

/** Device addresses are physical ones, below `reach`. */
function directParts(memory: GuestMemory, reach: number, says: string): DomainParts {
  const open = (capacity: number): DmaMapping =>
    new DirectDmaMapping(memory, {
      path: 'identity',
      capacity,
      limit: reach,
      walk: (low, high) => [{ table: 'virtio-iommu', says: `${says}: 0x${(high * 2 ** 32 + low).toString(16)}` }],
    });
  return {
    openMapping: open,
    isIdentity: () => probeIdentity(open(1), memory),
    reachesAllMemory: reach === memory.size,
  };
}

/** A domain with the bypass flag; from a unit of before BYPASS_CONFIG, no domain. */
function openBypass(unit: IommuUnit, memory: GuestMemory, { reserved }: DomainTerms): DomainParts {
  if (unit.config.bypass !== undefined) unit.attach(ATTACH_BYPASS);
  else if (!unit.accepted.has(VIRTIO_IOMMU_F_BYPASS))
    throw unsupported(
      'the unit and its driver have neither BYPASS_CONFIG nor BYPASS',
      'use platform.domain: identity, which needs neither',
    );
  return directParts(memory, firstReserved(memory, reserved), 'the unit lets the address through');
}

/** Maps what lies between the reserved regions to itself. */
function openIdentity(unit: IommuUnit, memory: GuestMemory, { reserved, lacks }: DomainTerms): DomainParts {
  const { granule, inputStart, inputEnd } = unit.config;
  unit.attach(0);
  const page = BigInt(granule);
  const end = (BigInt(memory.size) / page) * page;
  let from = 0n;
  const mapUpTo = (to: bigint): void => {
    const first = ((from + page - 1n) / page) * page;
    const behind = (to / page) * page;
    if (first >= behind) return;
    const [start, last] = [Number(first), Number(behind - 1n)];
    const status = unit.map(start, last, start, ACCESS_READ | ACCESS_WRITE);
    if (status === STATUS_OK) return;
    const message = `the unit answers MAP of 0x${start.toString(16)} to itself with ${statusName(status)}`;
    if (status === STATUS_NO_MEMORY)
      throw unsupported(message, 'raise platform.unit.mappings, or use platform.domain: translated');
    throw unresponsive(message, lackedFeature(lacks, 'MAP', status));
  };
  if (inputStart > 0n || inputEnd < end - 1n)
    throw unsupported(
      `it translates 0x${inputStart.toString(16)} to 0x${inputEnd.toString(16)}, which is not all of memory`,
      inputStart < LAST_END
        ? 'use platform.domain: translated'
        : 'use a unit that translates lower addresses (platform.unit.inputStart of the simulated machine)',
    );
  for (const region of reserved.toSorted((a, b) => (a.start < b.start ? -1 : 1))) {
    mapUpTo(region.start < end ? region.start : end);
    if (region.end + 1n > from) from = region.end + 1n;
  }
  mapUpTo(end);
  return directParts(memory, Math.min(firstReserved(memory, reserved), Number(end)), 'a mapping leads to itself');
}

/** The first physical address that is also that of a reserved region, where the device reaches no memory. */
function firstReserved(memory: GuestMemory, reserved: readonly ReservedRegion[]): number {
  const starts = reserved
    .filter(({ start }) => start < BigInt(memory.size) && memory.contains(Number(start), 1))
    .map(({ start }) => Number(start));
  return Math.min(memory.size, ...starts);
}
