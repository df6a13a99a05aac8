import {
  addressEnd,
  FULL_ADDRESSING,
  IovaPages,
  openDomainParts,
  PageTable,
  TableUnitDomain,
  type DeviceAddressing,
  type DomainParts,
} from '@virtio-platform/core/dma';
import { formatByteSize, type GuestMemory, type LeakLog } from '@virtio-platform/core/memory';
import type { Smmuv3Options } from '../smmuv3-options.ts';
import { levelsOf, OUTPUT_BITS, type SmmuCapabilities } from '../unit/smmu-capabilities.ts';
import { unsupported, type SmmuFacility } from '../unit/smmu-facility.ts';
import { describeEvent, type SmmuFault } from '../unit/smmu-fault.ts';
import { SmmuUnit } from '../unit/smmu-unit.ts';
import { AARCH64_ENTRIES } from '../unit/table-format.ts';
import { StreamTables } from './stream-tables.ts';

/** ASID of the one device. */
const ASID = 1;

/** The domain of the device. */
export class OpenedDomain extends TableUnitDomain<SmmuFault> {
  readonly #unit: SmmuUnit;

  constructor(unit: SmmuUnit, parts: DomainParts, streams: StreamTables, streamId: number) {
    const takeFaults = (): SmmuFault[] =>
      unit
        .takeEvents()
        .filter((event) => event.streamId === streamId)
        .map(describeEvent);
    super({ unit, parts, requesters: streams, takeFaults });
    this.#unit = unit;
  }

  /** How often events were lost. */
  get lostEvents(): number {
    return this.#unit.lostEvents;
  }

  /** Errors that the unit reported of itself. */
  get globalErrors(): number {
    return this.#unit.globalErrors;
  }
}

/**
 * Opens the domain that the options ask for, and starts the unit; `leaks` gets what it cannot take back. Throws
 * {@link DmaError}.
 */
export function openDomain(
  facility: SmmuFacility,
  memory: GuestMemory,
  options: Smmuv3Options,
  leaks: LeakLog,
  addressing: DeviceAddressing = FULL_ADDRESSING,
): OpenedDomain {
  const { granule, addressBits } = options;
  const unit = new SmmuUnit(facility, memory, { asid: ASID, granule });
  let parts: DomainParts | undefined;
  let streams: StreamTables | undefined;
  try {
    const { capabilities } = unit;
    checkCapabilities(capabilities, facility.streamId, memory, options);
    parts = domainParts(memory, options, leaks, addressing);
    const { table } = parts;
    const { outputCode } = capabilities;
    const context = table && { table: table.root, granule, addressBits, outputCode, asid: ASID };
    streams = new StreamTables(memory, facility.streamId, context);
    unit.start(streams);
  } catch (error) {
    if (unit.stop()) {
      streams?.free();
      parts?.table?.free();
    }
    throw error;
  }
  return new OpenedDomain(unit, parts, streams, facility.streamId);
}

function domainParts(
  memory: GuestMemory,
  options: Smmuv3Options,
  leaks: LeakLog,
  addressing: DeviceAddressing,
): DomainParts {
  const { domain, granule, addressBits, aperture, largePages, onLostInvalidation } = options;
  const levels = levelsOf(addressBits, granule);
  return openDomainParts(memory, {
    kind: domain,
    reach: memory.size,
    granule,
    onLostInvalidation,
    maskBits: addressing.addressBits,
    openPages: () => new IovaPages(aperture / granule, granule, addressEnd(addressing)),
    openTable: (pages) => new PageTable(memory, AARCH64_ENTRIES, { levels, pages, largePages, granule }),
    platform: 'smmuv3',
    leaks,
    noRoom: () => unsupported('there is no memory for tables over all of memory', 'enlarge the memory of the machine'),
  });
}

/** Throws where the unit lacks what the options, the device or the memory need. */
function checkCapabilities(
  { granules, outputCode, streamBits }: SmmuCapabilities,
  streamId: number,
  memory: GuestMemory,
  { domain, granule }: Smmuv3Options,
): void {
  if (streamId >= 2 ** streamBits)
    throw unsupported(
      `StreamID 0x${streamId.toString(16)} has more than the ${streamBits} bits of this unit (IDR1.SIDSIZE)`,
      'the device is not behind this unit',
    );
  const outputBits = OUTPUT_BITS[outputCode]!;
  if (memory.size > 2 ** outputBits)
    throw unsupported(
      `this unit reaches ${outputBits} bits of physical addresses (IDR5.OAS), and memory ends beyond`,
      'give the machine less memory, or widen platform.unit.outputBits of the simulated machine',
    );
  if (domain === 'pass-through') return;
  if (!granules.includes(granule))
    throw unsupported(
      `this unit has no pages of ${formatByteSize(granule)} (IDR5): ${granules.map(formatByteSize).join(', ')}`,
      'change platform.granule, or platform.unit.granules of the simulated machine',
    );
  if (domain === 'identity' && memory.size % granule !== 0)
    throw unsupported(
      `memory of ${memory.size} bytes does not end with a page of ${formatByteSize(granule)}`,
      'make machine.memory a multiple of platform.granule',
    );
}
