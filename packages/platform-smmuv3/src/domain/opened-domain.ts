import {
  IovaPages,
  openDomainParts,
  PageTable,
  type AddressRange,
  type DmaMapping,
  type DomainParts,
} from '@virtio-platform/core/dma';
import type { GuestMemory, LeakLog } from '@virtio-platform/core/memory';
import type { Smmuv3Options } from '../smmuv3-options.ts';
import { levelsOf, OUTPUT_BITS, type SmmuCapabilities } from '../unit/smmu-capabilities.ts';
import { unsupported, type SmmuFacility } from '../unit/smmu-facility.ts';
import { describeEvent, type SmmuFault } from '../unit/smmu-fault.ts';
import { SmmuUnit } from '../unit/smmu-unit.ts';
import { AARCH64_ENTRIES } from '../unit/table-format.ts';
import { SmmuDmaMapping } from './smmu-dma-mapping.ts';
import { StreamTables } from './stream-tables.ts';

/** ASID of the one device. */
const ASID = 1;

/** The domain of the device. */
export interface OpenedDomain {
  openMapping(capacity: number): DmaMapping;
  /** Whether addresses are physical ones: probes the mapping and reads the tables. */
  isIdentity(): boolean;
  /** Whether it maps all of guest memory, at physical addresses. */
  readonly reachesAllMemory: boolean;
  /** The I/O virtual addresses of the domain; `undefined` where device addresses are physical ones. */
  readonly range?: AddressRange | undefined;
  /** Bytes of I/O virtual addresses that stay unused because the unit did not confirm their invalidation. */
  readonly keptBytes: number;
  /** How often events were lost. */
  readonly lostEvents: number;
  /** Errors that the unit reported of itself. */
  readonly globalErrors: number;
  /** The faults of the device that the unit recorded since the last call. */
  takeFaults(): SmmuFault[];
  /**
   * Stops translation and frees the tables. Keeps them if the unit does not confirm the stop: it may still walk them.
   */
  close(): void;
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
): OpenedDomain {
  const { granule, addressBits } = options;
  const unit = new SmmuUnit(facility, memory, { asid: ASID, granule });
  let parts: DomainParts | undefined;
  let streams: StreamTables | undefined;
  try {
    const { capabilities } = unit;
    checkCapabilities(capabilities, facility.streamId, memory, options);
    parts = domainParts(memory, options, leaks);
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
  return opened(unit, parts, streams, facility.streamId);
}

function opened(unit: SmmuUnit, parts: DomainParts, streams: StreamTables, streamId: number): OpenedDomain {
  const { openMapping, isIdentity, reachesAllMemory, domain } = parts.open(unit, streams);
  return {
    openMapping,
    reachesAllMemory,
    isIdentity: () => unit.isTranslating && isIdentity(),
    range: parts.range,
    get keptBytes() {
      return domain?.keptBytes ?? 0;
    },
    get lostEvents() {
      return unit.lostEvents;
    },
    get globalErrors() {
      return unit.globalErrors;
    },
    takeFaults: () =>
      unit
        .takeEvents()
        .filter((event) => event.streamId === streamId)
        .map(describeEvent),
    close: () => {
      if (!unit.stop()) return;
      domain?.close();
      parts.table?.free();
      streams.free();
    },
  };
}

function domainParts(memory: GuestMemory, options: Smmuv3Options, leaks: LeakLog): DomainParts {
  const { domain, granule, addressBits, aperture, largePages, onLostInvalidation } = options;
  const levels = levelsOf(addressBits, granule);
  return openDomainParts(memory, {
    kind: domain,
    reach: memory.size,
    granule,
    onLostInvalidation,
    openPages: () => new IovaPages(aperture / granule, granule),
    openTable: (pages) => new PageTable(memory, AARCH64_ENTRIES, { levels, pages, largePages, granule }),
    openMapping: (opening, capacity) => new SmmuDmaMapping(memory, opening, capacity, leaks),
    noRoom: () => unsupported('there is no memory for tables over all of memory', 'enlarge the memory of the machine'),
  });
}

/** Throws where the unit lacks what the options, the device or the memory need. */
function checkCapabilities(
  { granules, outputCode, streamBits }: SmmuCapabilities,
  streamId: number,
  memory: GuestMemory,
  { domain, granule, addressBits }: Smmuv3Options,
): void {
  if (streamId >= 2 ** streamBits)
    throw unsupported(
      `StreamID 0x${streamId.toString(16)} has more than the ${streamBits} bits of this unit (IDR1.SIDSIZE)`,
      'the device is not behind this unit',
    );
  if (domain === 'pass-through') return;
  if (!granules.includes(granule))
    throw unsupported(
      `this unit has no pages of ${granule / 1024}KiB (IDR5): ${granules.map((each) => `${each / 1024}KiB`).join(', ')}`,
      'change platform.granule, or platform.unit.granules of the simulated machine',
    );
  const outputBits = OUTPUT_BITS[outputCode]!;
  if (memory.size > 2 ** outputBits || (domain === 'identity' && memory.size > 2 ** addressBits))
    throw unsupported(
      `this unit reaches ${outputBits} bits of physical addresses (IDR5.OAS), and memory ends beyond`,
      'give the machine less memory, or widen platform.unit.outputBits of the simulated machine',
    );
  if (domain === 'identity' && memory.size % granule !== 0)
    throw unsupported(
      `memory of ${memory.size} bytes does not end with a page of ${granule / 1024}KiB`,
      'make machine.memory a multiple of platform.granule',
    );
}
