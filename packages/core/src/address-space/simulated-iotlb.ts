/** Places of the translation cache, a power of two. Each page has one place, which it shares with other pages. */
const CACHE_PLACES = 1024;

/**
 * The translation cache of a simulated unit, shared by the driver's thread and the device's: one element for each place
 * in each array. `cacheDomains` has the domain plus 1, or 0 for an empty place.
 */
export interface IotlbState {
  readonly cacheDomains: SharedArrayBuffer;
  readonly cachePages: SharedArrayBuffer;
  readonly cacheEntries: SharedArrayBuffer;
}

/** Allocates the state of an empty cache. */
export function allocateIotlbState(): IotlbState {
  return {
    cacheDomains: new SharedArrayBuffer(CACHE_PLACES * 4),
    cachePages: new SharedArrayBuffer(CACHE_PLACES * 8),
    cacheEntries: new SharedArrayBuffer(CACHE_PLACES * 4),
  };
}

/** The bits of a page number that are its place. */
const LAST_PLACE = CACHE_PLACES - 1;

/** The result of {@link SimulatedIotlb.find} for a page that is not cached. */
export const NOT_CACHED = -1;

/**
 * The translation cache of a simulated unit. The device's thread fills it and the driver's thread drops from it, one
 * element at a time. A cached translation stays in use even when the tables change, until it is dropped or another page
 * takes its place. An entry is a page frame times 4, plus the permissions. Hot: no allocation.
 */
export class SimulatedIotlb {
  readonly #domains: Int32Array;
  readonly #pages: Float64Array;
  readonly #entries: Int32Array;

  constructor(state: IotlbState) {
    this.#domains = new Int32Array(state.cacheDomains);
    this.#pages = new Float64Array(state.cachePages);
    this.#entries = new Int32Array(state.cacheEntries);
  }

  /** The entry of a page of a domain, or {@link NOT_CACHED}. */
  find(domain: number, page: number): number {
    const place = page & LAST_PLACE;
    if (Atomics.load(this.#domains, place) !== domain + 1 || this.#pages[place] !== page) return NOT_CACHED;
    return this.#entries[place]!;
  }

  /** Caches an entry, in the device's thread only. The domain is written last: it makes the entry valid. */
  fill(domain: number, page: number, entry: number): void {
    const place = page & LAST_PLACE;
    Atomics.store(this.#domains, place, 0);
    this.#pages[place] = page;
    this.#entries[place] = entry;
    Atomics.store(this.#domains, place, domain + 1);
  }

  /** Drops a page that was just filled, because its tables may have changed meanwhile. */
  forget(page: number): void {
    Atomics.store(this.#domains, page & LAST_PLACE, 0);
  }

  /** Drops a run of pages of a domain. */
  dropPages(domain: number, first: number, count: number): void {
    // A run that is longer than the cache visits each place once.
    for (let i = 0; i < count && i < CACHE_PLACES; i++) {
      const place = (first + i) & LAST_PLACE;
      const page = this.#pages[place]!;
      if (page >= first && page < first + count) Atomics.compareExchange(this.#domains, place, domain + 1, 0);
    }
  }

  dropDomain(domain: number): void {
    for (let place = 0; place < CACHE_PLACES; place++) Atomics.compareExchange(this.#domains, place, domain + 1, 0);
  }

  dropAll(): void {
    for (let place = 0; place < CACHE_PLACES; place++) Atomics.store(this.#domains, place, 0);
  }
}
