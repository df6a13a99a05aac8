import { PAGE_SIZE, type GuestMemory } from '../../memory/guest-memory.ts';
import type { LeakLog } from '../../memory/leak-log.ts';
import type { AddressRange } from '../address-range.ts';
import { DirectDmaMapping } from '../direct-dma-mapping.ts';
import type { DmaMapping } from '../dma-mapping.ts';
import { probeIdentity, probeOpened } from '../probe-identity.ts';
import { PAGE_READ, PAGE_WRITE } from './entry-format.ts';
import { InvalidatedDmaMapping } from './invalidated-dma-mapping.ts';
import { InvalidatedDomain, type OnLostInvalidation, type TranslationCaches } from './invalidated-domain.ts';
import type { IovaPages } from './iova-pages.ts';
import type { PageTable } from './page-table.ts';
import type { RequesterTables } from './requester-tables.ts';

/**
 * `translated`: page tables, and each mapping gets addresses of its own. `pass-through`: the unit lets the device's
 * addresses through. `identity`: page tables that are filled one to one, once.
 */
export const DOMAIN_KINDS = ['translated', 'pass-through', 'identity'] as const;
/** The kind of domain of a device behind a unit that walks tables; see {@link DOMAIN_KINDS}. */
export type DomainKind = (typeof DOMAIN_KINDS)[number];

/** What a platform makes a domain of. */
export interface DomainTerms {
  readonly kind: DomainKind;
  /** First physical address at which a device does not reach memory, such as that of interrupts; or where it ends. */
  readonly reach: number;
  /** Bytes of a page of the tables: a power of two. A page of the driver unless given. */
  readonly granule?: number;
  /** Bits of the addresses that the device takes. */
  readonly maskBits?: number;
  readonly onLostInvalidation: OnLostInvalidation;
  /** How tables have more addresses, where they and not the device leave few: `raise platform.levels`. */
  readonly widen?: string;
  /** The pages of a translated domain. */
  readonly openPages: () => IovaPages;
  /** Page tables for the pages below this number. */
  readonly openTable: (pages: number) => PageTable;
  /** Name of the platform, for the errors of mappings. */
  readonly platform: string;
  /** Gets what mappings do not take back. */
  readonly leaks: LeakLog;
  /** The error where there is no memory for tables over all of memory. */
  readonly noRoom: () => Error;
}

/** A domain of a unit that runs. */
export interface RunningDomain {
  /** Opens the mapping of a queue. `capacity` is how many mappings can live at once. */
  readonly openMapping: (capacity: number) => DmaMapping;
  /** Whether it maps all of guest memory, at physical addresses. */
  readonly reachesAllMemory: boolean;
  /** Whether addresses are physical ones: probes the mapping and reads the tables. Cold. */
  readonly isIdentity: () => boolean;
  /** `undefined` where nothing is invalidated. */
  readonly domain?: InvalidatedDomain;
}

/** A domain: its page tables, and how to open it once the unit runs. */
export interface DomainParts {
  /** Without page tables, addresses pass through. */
  readonly table: PageTable | undefined;
  /** The I/O virtual addresses of the domain; `undefined` where device addresses are physical ones. */
  readonly range?: AddressRange;
  /** `requesters` leads to the domain. */
  open(unit: TranslationCaches, requesters: RequesterTables): RunningDomain;
}

/** Makes a domain of one of the kinds. Throws {@link DmaError} `ERR_DMA_EXHAUSTED`, and what `noRoom` returns. */
export function openDomainParts(memory: GuestMemory, terms: DomainTerms): DomainParts {
  if (terms.kind === 'translated') return translatedParts(memory, terms);
  return terms.kind === 'identity' ? identityParts(memory, terms) : passThroughParts(memory, terms);
}

/** Device addresses are physical ones, below `reach`. */
function openDirect(
  memory: GuestMemory,
  reach: number,
  capacity: number,
  walk?: NonNullable<DmaMapping['walk']>,
): DmaMapping {
  return new DirectDmaMapping(memory, { path: 'identity', capacity, limit: reach, ...(walk && { walk }) });
}

function passThroughParts(memory: GuestMemory, { reach }: DomainTerms): DomainParts {
  return {
    table: undefined,
    open: (_unit, requesters) => ({
      openMapping: (capacity) => openDirect(memory, reach, capacity, () => requesters.walk()),
      reachesAllMemory: reach === memory.size,
      isIdentity: () => probeIdentity(openDirect(memory, reach, 1), memory) && requesters.isIntact(),
    }),
  };
}

function identityParts(memory: GuestMemory, terms: DomainTerms): DomainParts {
  const { reach, openTable, noRoom, granule = PAGE_SIZE } = terms;
  const pages = reach / granule;
  const table = openTable(pages);
  const runs = memoryRuns(memory, granule, pages);
  if (!runs.every(({ first, end }) => table.map(first, end - first, first, PAGE_READ | PAGE_WRITE))) {
    table.free();
    throw noRoom();
  }
  return {
    table,
    open: (_unit, requesters) => ({
      openMapping: (capacity) =>
        openDirect(memory, reach, capacity, (low, high) => [...requesters.walk(), ...table.walk(low, high)]),
      reachesAllMemory: reach === memory.size,
      isIdentity: () =>
        probeIdentity(openDirect(memory, reach, 1), memory) &&
        requesters.isIntact() &&
        runs.every(({ first, end }) => table.isOneToOne(end, first)),
    }),
  };
}

/** The runs of pages that are memory: in a hole of it there are devices, which no other device is to reach. */
function memoryRuns(memory: GuestMemory, granule: number, pages: number): { first: number; end: number }[] {
  const runs: { first: number; end: number }[] = [];
  for (let page = 0; page < pages; page++) {
    if (!memory.contains(page * granule, granule)) continue;
    const last = runs.at(-1);
    if (last?.end === page) last.end++;
    else runs.push({ first: page, end: page + 1 });
  }
  return runs;
}

/** What to do where addresses run out. */
function moreAddresses(
  { first, count, isCut }: IovaPages,
  { maskBits = 64, granule = PAGE_SIZE, widen }: DomainTerms,
): string {
  if (!isCut) return 'raise platform.aperture';
  const isByDevice = widen === undefined || 2 ** maskBits <= (first + count) * granule;
  return isByDevice ? 'have the device take more bits (device.dmaBits)' : widen;
}

function translatedParts(memory: GuestMemory, terms: DomainTerms): DomainParts {
  const { openTable, onLostInvalidation, maskBits, platform, leaks, granule = PAGE_SIZE } = terms;
  const pages = terms.openPages();
  const more = moreAddresses(pages, terms);
  const table = openTable(pages.first + pages.count);
  return {
    table,
    range: {
      what: 'aperture of the domain',
      kind: 'window',
      deviceAddress: BigInt(pages.first * granule),
      length: pages.count * granule,
    },
    open: (unit, requesters) => {
      const domain = new InvalidatedDomain(unit, { table, pages, requesters, maskBits }, onLostInvalidation);
      const open = (capacity: number): DmaMapping =>
        new InvalidatedDmaMapping(memory, domain, { platform, capacity, leaks, more });
      return { domain, openMapping: open, reachesAllMemory: false, isIdentity: () => probeOpened(open(1), memory) };
    },
  };
}
