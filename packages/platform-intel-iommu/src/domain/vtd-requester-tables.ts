import { RequesterTables } from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';
import type { FormerTables } from '../takeover/former-tables.ts';
import { unresponsive } from '../unit/vtd-facility.ts';
import { PRESENT } from '../unit/vtd-registers.ts';

/**
 * The tables of the unit, whose modes have a class each. A copy of the tables of a former owner has its devices too,
 * and leads this one to its own domain from {@link attach} on.
 */
export abstract class VtdRequesterTables extends RequesterTables {
  readonly #memory: GuestMemory;
  /** Writes the entry of the device; `undefined` once that is done. */
  #deferred: (() => void) | undefined;

  constructor(memory: GuestMemory) {
    super(memory);
    this.#memory = memory;
  }

  /**
   * Leads the device to its domain where the tables are a copy: its entry is cleared first, and `invalidateAll` has to
   * confirm that the unit forgot it. Called once the driver has reset the device, as Linux defers it. Throws
   * {@link DmaError} `ERR_IOMMU_UNRESPONSIVE`, and then the device reaches nothing. Cold.
   */
  attach(invalidateAll: () => boolean): void {
    const write = this.#deferred;
    if (write === undefined) return;
    this.clearDevice();
    if (!invalidateAll()) throw unresponsive('it did not confirm that it forgot the tables of the former owner');
    write();
    this.#deferred = undefined;
    // A unit in caching mode may remember that there was no entry.
    if (!invalidateAll()) throw unresponsive('it did not confirm that it saw the tables of the device');
  }

  /** Clears the entry that leads from the device to its domain. */
  protected abstract clearDevice(): void;

  /** Writes the entry of the device now, or with {@link attach} where there is a former owner. */
  protected writeDevice(former: FormerTables | undefined, write: () => void): void {
    if (former === undefined) write();
    else this.#deferred = write;
  }

  /** Copies the contexts of a former owner, and points the root table at them. Returns their pages by root word. */
  protected copyContexts(root: number, former: FormerTables | undefined): ReadonlyMap<number, number> {
    const pages = new Map<number, number>();
    for (const { rootWord, words } of former?.contexts ?? []) {
      const page = this.allocate();
      this.#memory.u32.set(words, page / 4);
      this.write(root / 4 + rootWord, ...this.pointer(page, PRESENT));
      pages.set(rootWord, page);
    }
    return pages;
  }

  /** Clears the first word of an entry: it is not present. */
  protected clear(at: number): void {
    Atomics.store(this.#memory.u32, at, 0);
  }
}
