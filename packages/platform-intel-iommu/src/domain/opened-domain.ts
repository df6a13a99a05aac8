import {
  INTERRUPT_START,
  FULL_ADDRESSING,
  IovaPages,
  openDomainParts,
  TableUnitDomain,
  type DeviceAddressing,
  type DmaMapping,
  type DomainParts,
} from '@virtio-platform/core/dma';
import { PAGE_SIZE, type GuestMemory, type LeakLog } from '@virtio-platform/core/memory';
import type { IntelIommuOptions } from '../intel-iommu-options.ts';
import { unsupported, type VtdFacility } from '../unit/vtd-facility.ts';
import { LegacyRequesterTables } from './legacy-requester-tables.ts';
import { ScalableRequesterTables } from './scalable-requester-tables.ts';
import { SecondLevelTable } from './second-level-table.ts';
import { takeFaults, describeFault, type VtdFault } from '../unit/vtd-fault.ts';
import { levelsOf, widthCode, type AddressWidth, type VtdCapabilities } from '../unit/vtd-capabilities.ts';

import type { TakenUnit } from '../takeover/take-over-unit.ts';
import type { VtdRequesterTables } from './vtd-requester-tables.ts';
import { VtdUnit } from '../unit/vtd-unit.ts';

/** Domain ids begin here: never 0, which caching mode uses for entries that are not present. */
const FIRST_DOMAIN = 1;

/** The domain of the device. Its first mapping attaches the device, where another kernel's tables led to it before. */
export class OpenedDomain extends TableUnitDomain<VtdFault> {
  readonly #unit: VtdUnit;
  readonly #requesters: VtdRequesterTables;

  constructor(facility: VtdFacility, unit: VtdUnit, parts: DomainParts, requesters: VtdRequesterTables) {
    const { table } = parts;
    const isMapped = (low: number, high: number): boolean => table === undefined || table.permissions(low, high) !== 0;
    const taken = (): VtdFault[] =>
      takeFaults(facility, unit.capabilities)
        .filter(({ sourceId }) => sourceId === facility.sourceId)
        .map((record) => describeFault(record, isMapped));
    super({ unit, parts, requesters, takeFaults: taken });
    this.#unit = unit;
    this.#requesters = requesters;
  }

  override openMapping(capacity: number): DmaMapping {
    this.#requesters.attach(() => this.#unit.invalidateAll());
    return super.openMapping(capacity);
  }

  /** Frees the tables while the unit uses them, as a kernel does that starts another one and does not stop the unit. */
  abandon(): void {
    this.#unit.abandon();
    this.free();
  }
}

/**
 * Opens the domain that the options ask for, and starts the unit; `leaks` gets what it cannot take back. What goes on
 * of a unit that was taken over is never off meanwhile; where translation goes on, the device gets its domain with its
 * first mapping. Throws {@link DmaError}, whose hint names
 * options in `section` of the profile.
 */
export function openDomain(
  facility: VtdFacility,
  memory: GuestMemory,
  options: IntelIommuOptions,
  leaks: LeakLog,
  { former, interrupts }: Partial<TakenUnit> = {},
  { addressBits }: DeviceAddressing = FULL_ADDRESSING,
  section = 'platform',
): OpenedDomain {
  let id = FIRST_DOMAIN;
  while (former?.domains.has(id) === true) id++;
  const { invalidation, interruptRemapping } = options;
  const unit = new VtdUnit(facility, memory, { domain: id, invalidation, interruptRemapping, section });
  let parts: DomainParts | undefined;
  let requesters: VtdRequesterTables | undefined;
  try {
    const width = usableWidth(unit.capabilities, options, section);
    parts = domainParts(memory, unit.capabilities, width, { ...options, leaks, addressBits });
    const Tables = options.mode === 'scalable' ? ScalableRequesterTables : LegacyRequesterTables;
    const entry = {
      isPassThrough: parts.table === undefined,
      table: parts.table?.root ?? 0,
      width: widthCode(width),
      domain: id,
    };
    requesters = new Tables(memory, facility.sourceId, entry, former);
    // Drops the faults from before this run.
    takeFaults(facility, unit.capabilities);
    unit.start(requesters.root, { isTakenOver: former !== undefined, interrupts });
  } catch (error) {
    if (unit.stop()) {
      requesters?.free();
      parts?.table?.free();
    }
    throw error;
  }
  return new OpenedDomain(facility, unit, parts, requesters);
}

function domainParts(
  memory: GuestMemory,
  capabilities: VtdCapabilities,
  width: AddressWidth,
  options: IntelIommuOptions & { readonly leaks: LeakLog; readonly addressBits: number },
): DomainParts {
  const levels = levelsOf(width);
  const largePages = options.largePages && capabilities.largePages;
  return openDomainParts(memory, {
    kind: options.domain,
    // A device never reaches memory at the addresses of interrupts. A PC has none there.
    reach: memory.contains(INTERRUPT_START, PAGE_SIZE) ? INTERRUPT_START : memory.size,
    onLostInvalidation: options.onLostInvalidation,
    maskBits: options.addressBits,
    openPages: () => new IovaPages(options.aperture / PAGE_SIZE, PAGE_SIZE, 2 ** options.addressBits),
    openTable: (pages) => new SecondLevelTable(memory, { levels, pages, largePages }),
    platform: 'intel-iommu',
    leaks: options.leaks,
    noRoom: () =>
      unsupported('there is no memory for page tables over all of memory', 'enlarge the memory of the machine'),
  });
}

/** The width of the page tables. Checks mode, domain and width against the capabilities of the unit. */
function usableWidth(
  capabilities: VtdCapabilities,
  { addressWidth, domain, mode }: IntelIommuOptions,
  section: string,
): AddressWidth {
  const { widths, largestWidth, passThrough, scalableMode } = capabilities;
  if (mode === 'scalable' && !scalableMode)
    throw unsupported(
      'this unit has no scalable mode with second-level tables (ECAP.SMTS, ECAP.SLTS)',
      `use ${section}.mode: legacy, or a unit that has it: platform.unit.scalableMode or ` +
        'machine.intelIommu.scalableMode',
    );
  const possible = widths.filter((width) => width <= largestWidth);
  if (domain === 'pass-through') {
    if (!passThrough) throw unsupported('this unit has no pass-through (ECAP.PT)', 'use platform.domain: identity');
    // The specification demands the largest width here: there are no page tables to define one.
    const largest = possible.at(-1);
    if (largest !== undefined) return largest;
  }
  if (possible.includes(addressWidth)) return addressWidth;
  const names = possible.length === 0 ? 'none that this driver knows' : possible.join(' or ');
  throw unsupported(
    `this unit translates no addresses of ${addressWidth} bits (CAP.SAGAW, CAP.MGAW): ${names}`,
    `change ${section}.addressWidth, or the unit: platform.unit.addressWidth or machine.intelIommu.addressWidth`,
  );
}
