import {
  definePlatformPlugin,
  DmaError,
  GUEST_MEMORY,
  PLATFORM,
  PLUGIN_API_VERSION,
  type Platform,
  type PlatformPlugin,
  type SimulatedHardware,
} from '@virtio-platform/core';
import { PHYSICAL_ADDRESS_SPACE } from '@virtio-platform/core/address-space';
import { DMA_NO_SPACE, DmaDirection, ZeroCopyDmaMapping, type DmaMapping } from '@virtio-platform/core/dma';
import { PAGE_SIZE, RangeAllocator, type GuestMemory } from '@virtio-platform/core/memory';
import type { PlatformTraits } from '@virtio-platform/core/negotiation';
import type { DependencyContainer } from 'tsyringe';
import { HIGH_WORD, openAddressSpace, PAGES, READ, WRITE, type PagedState, type SpaceMistake } from './paged-space.ts';

/** What can be wrong with the driver's side of the paged platform. */
export type MappingMistake =
  | 'maps a crossing buffer short'
  | 'leaves the entries after unmap'
  | 'unmaps a page that another mapping uses'
  | 'resolves from a note'
  | 'states a boundary that it crosses'
  | 'states fewer bits than it uses'
  | 'maps less than its limit';

/** What is changed in a sound platform. */
export interface Wrong {
  readonly space?: SpaceMistake;
  readonly mapping?: MappingMistake;
  readonly plugin?: Partial<PlatformPlugin>;
  readonly platform?: Partial<Platform>;
  readonly traits?: Partial<PlatformTraits>;
  readonly hardware?: Partial<SimulatedHardware>;
  /** Stands in front of each mapping. */
  readonly wrap?: (mapping: DmaMapping, memory: GuestMemory) => DmaMapping;
}

const TABLE = Symbol.for('test:PageTable');
const TRAITS: PlatformTraits = {
  restrictedMemory: false,
  isolates: true,
  mappedPath: 'translated',
  identityVerified: undefined,
  addressMeaning: 'each buffer has pages of its own above 2^40',
};
const ENTRY = {
  [DmaDirection.Bidirectional]: READ | WRITE,
  [DmaDirection.ToDevice]: READ,
  [DmaDirection.FromDevice]: WRITE,
};

/** The IOMMU of the platform as the driver programs it. */
class PageTable {
  readonly entries: Uint32Array;
  readonly pages = new RangeAllocator('device pages', PAGE_SIZE, (PAGES - 1) * PAGE_SIZE);

  constructor(shared: SharedArrayBuffer) {
    this.entries = new Uint32Array(shared);
  }

  /** Programs `count` pages. Returns the offset of the first one, or -1. */
  map(address: number, count: number, direction: DmaDirection): number {
    const place = this.pages.tryAllocate(count * PAGE_SIZE, PAGE_SIZE);
    if (place < 0) return -1;
    const [to, from] = [1 + place / PAGE_SIZE, Math.floor(address / PAGE_SIZE)];
    for (let i = 0; i < count; i++) Atomics.store(this.entries, to + i, ((from + i) << 2) | ENTRY[direction]);
    return place;
  }

  unmap(place: number, count: number): void {
    const first = 1 + place / PAGE_SIZE;
    for (let i = 0; i < count; i++) Atomics.store(this.entries, first + i, 0);
    Atomics.add(this.entries, 0, 1);
  }
}

/** Gives every buffer pages of its own. */
class PagedMapping extends ZeroCopyDmaMapping {
  readonly #table: PageTable;
  readonly #mistake: MappingMistake | undefined;
  readonly #noted = new Map<number, number>();

  constructor(memory: GuestMemory, table: PageTable, capacity: number, mistake?: MappingMistake) {
    const largest = mistake === 'maps less than its limit' ? 64 * 1024 : 256 * 1024;
    super({
      path: 'translated',
      limits: {
        addressBits: mistake === 'states fewer bits than it uses' ? 40 : 41,
        maxMappingSize: 256 * 1024,
        alignment: PAGE_SIZE,
        boundary: mistake === 'states a boundary that it crosses' ? PAGE_SIZE : Infinity,
        maxMappings: capacity,
      },
      capacity,
      reach: memory.size,
      coherentUnit: PAGE_SIZE,
      coherent: memory,
    });
    this.#table = table;
    this.#mistake = mistake;
    this.#largest = largest;
  }

  readonly #largest: number;

  resolve(low: number, high: number): number {
    if (high !== HIGH_WORD || low >= PAGES * PAGE_SIZE) return -1;
    const page = Math.floor(low / PAGE_SIZE);
    const entry = Atomics.load(this.#table.entries, 1 + page);
    if (entry !== 0) this.#noted.set(page, entry);
    const known = this.#mistake === 'resolves from a note' ? (this.#noted.get(page) ?? entry) : entry;
    return known === 0 ? -1 : (known >>> 2) * PAGE_SIZE + (low % PAGE_SIZE);
  }

  protected mapPages(address: number, length: number, direction: DmaDirection): number {
    if (length > this.#largest) return -2;
    const place = this.#table.map(address, this.#count(address, length), direction);
    return place < 0 ? DMA_NO_SPACE : place;
  }

  protected unmapPages(place: number, address: number, length: number, free: () => void): boolean {
    const { pages } = this.#table;
    if (this.#mistake !== 'leaves the entries after unmap') this.#table.unmap(place, this.#count(address, length));
    if (this.#mistake === 'unmaps a page that another mapping uses') this.#unmapAll(address);
    pages.free(place);
    free();
    return true;
  }

  protected writePlace(place: number, address: number, words: Uint32Array, at: number): void {
    words[at] = place + (address % PAGE_SIZE);
    words[at + 1] = HIGH_WORD;
  }

  protected regionError(_reason: number, length: number): DmaError {
    return new DmaError('ERR_DMA_EXHAUSTED', `no ${length} bytes of device addresses are free`);
  }

  #count(address: number, length: number): number {
    const isShort = this.#mistake === 'maps a crossing buffer short';
    return Math.ceil((length + (isShort ? 0 : address % PAGE_SIZE)) / PAGE_SIZE);
  }

  #unmapAll(address: number): void {
    const { entries } = this.#table;
    for (let i = 1; i < entries.length; i++) if (entries[i]! >>> 2 === Math.floor(address / PAGE_SIZE)) entries[i] = 0;
  }
}

/** A sound platform with an IOMMU that exists only in these tests, with something wrong in it if asked for. */
export function pagedPlugin(wrong: Wrong = {}): PlatformPlugin {
  return definePlatformPlugin<unknown>({
    kind: 'platform',
    name: 'paged',
    apiVersion: PLUGIN_API_VERSION,
    options: {
      '~standard': { version: 1, vendor: 'test', validate: (value) => checkNoOptions(value) },
    },
    needs: [TABLE],
    register(container) {
      container.register(PLATFORM, {
        useFactory: (bound: DependencyContainer): Platform => {
          const memory = bound.resolve(GUEST_MEMORY);
          const table = bound.resolve<PageTable>(TABLE);
          return {
            name: 'paged',
            traits: { ...TRAITS, ...wrong.traits },
            rules: [],
            guestByteOrder: 'little',
            openMapping(_path, { capacity }) {
              const mapping = new PagedMapping(memory, table, capacity, wrong.mapping);
              return wrong.wrap === undefined ? mapping : wrong.wrap(mapping, memory);
            },
            dispose: () => {},
            ...wrong.platform,
          };
        },
      });
    },
    simulate() {
      const table = new SharedArrayBuffer(4 * (PAGES + 1));
      const state: PagedState = { table, mistake: wrong.space };
      const module = new URL('./paged-space.ts', import.meta.url).href;
      return {
        facilities: new Map([[TABLE, new PageTable(table)]]),
        addressSpace: (offers) => (offers ? { module, state, open: openAddressSpace } : PHYSICAL_ADDRESS_SPACE),
        ...wrong.hardware,
      };
    },
    ...wrong.plugin,
  });
}

function checkNoOptions(value: unknown): { value: unknown } | { issues: { message: string; path: string[] }[] } {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return { issues: [{ message: 'options are an object', path: [] }] };
  const issues = Object.keys(value).map((key) => ({ message: 'is no option', path: [key] }));
  return issues.length > 0 ? { issues } : { value: { ...value } };
}
