import {
  INTERRUPT_START,
  addressEnd,
  FULL_ADDRESSING,
  IovaPages,
  openDomainParts,
  PageTable,
  TableUnitDomain,
  type DeviceAddressing,
  type DomainParts,
} from '@virtio-platform/core/dma';
import { PAGE_SIZE, type GuestMemory, type LeakLog } from '@virtio-platform/core/memory';
import type { AmdIommuOptions } from '../amd-iommu-options.ts';
import { unsupported, type AmdIommuFacility } from '../unit/amd-facility.ts';
import { describeDenied, describeEvent, UNRECORDED, type AmdFault } from '../unit/amd-fault.ts';

import { AmdUnit } from '../unit/amd-unit.ts';
import { namesDevice } from '../unit/event-format.ts';
import { addressBits } from '../unit/table-format.ts';
import { takeTargetAbort } from '../unit/target-abort.ts';
import { AMD_ENTRY_FORMAT } from './amd-entry-format.ts';
import { DeviceTable } from './device-table.ts';

/** Domain id of the one device. Linux has none with 0 either. */
const DOMAIN_ID = 1;

/** The domain of the device. */
export type OpenedDomain = TableUnitDomain<AmdFault>;

/**
 * Opens the domain that the options ask for, and starts the unit; `leaks` gets what it cannot take back. Throws
 * {@link DmaError}.
 */
export function openDomain(
  facility: AmdIommuFacility,
  memory: GuestMemory,
  options: AmdIommuOptions,
  leaks: LeakLog,
  addressing: DeviceAddressing = FULL_ADDRESSING,
): OpenedDomain {
  const unit = new AmdUnit(facility, memory, DOMAIN_ID);
  let parts: DomainParts | undefined;
  let table: DeviceTable | undefined;
  try {
    checkLevels(unit, memory, options);
    parts = domainParts(memory, options, leaks, addressing);
    table = new DeviceTable(memory, facility.sourceId, {
      levels: parts.table === undefined ? 0 : options.levels,
      table: parts.table?.root ?? 0,
      domain: DOMAIN_ID,
    });
    unit.start(table.root, table.bytes);
    // Drops what was refused before this run.
    takeFaults(facility, unit, options.levels);
  } catch (error) {
    if (unit.stop()) {
      table?.free();
      parts?.table?.free();
    }
    throw error;
  }
  const { levels } = options;
  return new TableUnitDomain({ unit, parts, requesters: table, takeFaults: () => takeFaults(facility, unit, levels) });
}

/**
 * The event log tells; where it is silent, the machine may have noticed what the unit refused. Where it did not either,
 * the status of the unit's PCI function shows that there was something.
 */
function takeFaults(facility: AmdIommuFacility, unit: AmdUnit, levels: number): AmdFault[] {
  const isAborted = takeTargetAbort(facility);
  const denied = facility.takeDenied?.() ?? [];
  const events = unit
    .takeEvents()
    .filter(({ code, sourceId }) => namesDevice(code) && sourceId === facility.sourceId)
    .map((event) => describeEvent(event, levels));
  if (events.length > 0) return events;
  if (denied.length > 0) return describeDenied(denied);
  return isAborted ? [UNRECORDED] : [];
}

function domainParts(
  memory: GuestMemory,
  options: AmdIommuOptions,
  leaks: LeakLog,
  addressing: DeviceAddressing,
): DomainParts {
  const { levels, aperture, largePages } = options;
  const limit = Math.min(2 ** addressBits(levels), addressEnd(addressing));
  return openDomainParts(memory, {
    kind: options.domain,
    // A device never reaches memory at the addresses of interrupts. A PC has none there.
    reach: memory.contains(INTERRUPT_START, PAGE_SIZE) ? INTERRUPT_START : memory.size,
    onLostInvalidation: options.onLostInvalidation,
    maskBits: addressing.addressBits,
    widen: 'raise platform.levels',
    openPages: () => new IovaPages(aperture / PAGE_SIZE, PAGE_SIZE, limit),
    openTable: (pages) => new PageTable(memory, AMD_ENTRY_FORMAT, { levels, pages, largePages }),
    platform: 'amd-iommu',
    leaks,
    noRoom: () =>
      unsupported('there is no memory for page tables over all of memory', 'enlarge the memory of the machine'),
  });
}

/** Checks the levels against what the unit walks, and for an identity domain against the size of memory. */
function checkLevels({ capabilities }: AmdUnit, memory: GuestMemory, { levels, domain }: AmdIommuOptions): void {
  if (domain === 'pass-through') return;
  if (levels > capabilities.levels)
    throw unsupported(
      `this unit walks ${capabilities.levels} levels of page tables (HATS), not ${levels}`,
      'lower platform.levels, or raise platform.unit.levels',
    );
  if (domain === 'identity' && memory.size > 2 ** addressBits(levels))
    throw unsupported(
      `${levels} levels translate ${addressBits(levels)} bits, which are not all of memory`,
      'raise platform.levels, or use platform.domain: translated',
    );
}
