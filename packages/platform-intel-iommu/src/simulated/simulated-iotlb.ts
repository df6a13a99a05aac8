import { CACHE_PLACES, type VtdState } from './vtd-state.ts';

/** What {@link SimulatedIotlb.find} gives for a page that is not cached. */
export const NOT_CACHED = -1;

/**
 * The translation cache. The device's thread fills it and the driver's thread drops from it, each an element at a time: a translation that is
 * cached stays in use whatever the tables say, until it is dropped or another page takes its place. An entry is a page frame times 4,
 * plus the permissions. Hot: no allocation.
 */
export class SimulatedIotlb {
  readonly #domains: Int32Array;
  readonly #pages: Float64Array;
  readonly #entries: Int32Array;

  constructor(state: VtdState) {
    this.#domains = new Int32Array(state.cacheDomains);
    this.#pages = new Float64Array(state.cachePages);
    this.#entries = new Int32Array(state.cacheEntries);
  }

  /** The entry of a page of a domain, or {@link NOT_CACHED}. */
  find(domain: number, page: number): number {
    const place = page % CACHE_PLACES;
    if (Atomics.load(this.#domains, place) !== domain + 1 || this.#pages[place] !== page) return NOT_CACHED;
    return this.#entries[place]!;
  }

  /** Only the device's thread. The domain is written last: it makes the entry one. */
  fill(domain: number, page: number, entry: number): void {
    const place = page % CACHE_PLACES;
    Atomics.store(this.#domains, place, 0);
    this.#pages[place] = page;
    this.#entries[place] = entry;
    Atomics.store(this.#domains, place, domain + 1);
  }

  /** Drops a page that has just been filled, because what it was filled from may be old. */
  forget(page: number): void {
    Atomics.store(this.#domains, page % CACHE_PLACES, 0);
  }

  /** Drops a run of pages of a domain. */
  dropPages(domain: number, first: number, count: number): void {
    // Of a run that is longer than the cache each place is looked at once.
    for (let i = 0; i < count && i < CACHE_PLACES; i++) {
      const place = (first + i) % CACHE_PLACES;
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
