import { DMA_NO_SPACE, DMA_TOO_LARGE, DMA_UNREACHABLE, DmaDirection } from '@virtio-platform/core/dma';
import { FailurePlan } from '@virtio-platform/core/failure';
import { PAGE_SIZE, PageAllocator } from '@virtio-platform/core/memory';
import { FIRST_REFERENCE } from './grant-table.js';

/**
 * The grants of one device, which all of its queues share. Place: the reference of the first grant times the page size,
 * plus the offset in that page. Hot: no allocation but for a grant that is still in use.
 */
export class Grants {
  #table;
  #domain;
  #references;
  #refused;
  /** Grants that the back-end did not give back, and what frees the memory behind them. */
  #kept = [];
  #exhausted = 0;
  #most = 0;

  /** `failures` is the schedule of mappings that find no free entry. */
  constructor(table, { domain, failures }) {
    this.#table = table;
    this.#domain = domain;
    this.#references = new PageAllocator(FIRST_REFERENCE, table.entries - FIRST_REFERENCE, 'upward');
    this.#refused = new FailurePlan(failures.grant);
  }

  /** The most pages of one mapping. */
  get count() {
    return this.#references.count;
  }

  get domain() {
    return this.#domain;
  }

  /** Whether a grant was still in use: then no further mapping succeeds, as in Linux. */
  get isBroken() {
    return this.#kept.length > 0;
  }

  /**
   * How many grants are used now and at most, and free; how many the back-end uses after they were to end; how many
   * mappings found none.
   */
  get statistics() {
    const inUse = this.#kept.reduce((sum, { references }) => sum + references.length, 0);
    const used = this.#references.takenCount;
    return {
      used: used - inUse,
      most: this.#most,
      free: this.#references.count - used,
      inUse,
      exhausted: this.#exhausted,
    };
  }

  /** Grants the pages of a buffer, consecutive references. Returns the place, or a negative DMA_* reason. */
  map(address, length, direction, alignment) {
    if (this.isBroken) return DMA_UNREACHABLE;
    const inPage = address % PAGE_SIZE;
    const count = Math.ceil((inPage + length) / PAGE_SIZE);
    if (count > this.#references.count) return DMA_TOO_LARGE;
    const isRefused = this.#refused.next();
    const first = isRefused ? -1 : this.#references.take(count, alignment > PAGE_SIZE ? alignment / PAGE_SIZE : 1, 0);
    if (first < 0) {
      this.#exhausted++;
      return DMA_NO_SPACE;
    }
    if (this.#references.takenCount > this.#most) this.#most = this.#references.takenCount;
    const frame = (address - inPage) / PAGE_SIZE;
    const isReadOnly = direction === DmaDirection.ToDevice;
    for (let i = 0; i < count; i++) this.#table.grant(first + i, this.#domain, frame + i, isReadOnly);
    return first * PAGE_SIZE + inPage;
  }

  /** Ends the grants of a place, and then calls `free`. Returns false where one is still in use. */
  unmap(place, length, free) {
    const inPage = place % PAGE_SIZE;
    const first = (place - inPage) / PAGE_SIZE;
    const count = Math.ceil((inPage + length) / PAGE_SIZE);
    let kept;
    for (let reference = first; reference < first + count; reference++) {
      if (this.#table.end(reference)) this.#references.give(reference, 1);
      else (kept ??= []).push(reference);
    }
    if (kept === undefined) {
      free();
      return true;
    }
    this.#kept.push({ references: kept, free });
    return false;
  }

  /** Tries once more to end what was in use (Linux gnttab_handle_deferred). Returns whether none is left. */
  reclaim() {
    for (const kept of this.#kept) {
      kept.references = kept.references.filter((reference) => {
        if (!this.#table.end(reference)) return true;
        this.#references.give(reference, 1);
        return false;
      });
      if (kept.references.length === 0) kept.free();
    }
    this.#kept = this.#kept.filter(({ references }) => references.length > 0);
    return this.#kept.length === 0;
  }

  /** Guest-physical address behind a place; -1 where nothing is granted. Cold. */
  resolve(place) {
    const inPage = place % PAGE_SIZE;
    const frame = this.#table.frameOf((place - inPage) / PAGE_SIZE);
    return frame < 0 ? -1 : frame * PAGE_SIZE + inPage;
  }
}
