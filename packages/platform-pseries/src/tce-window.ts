import { deviceAddressOffset, writeDeviceAddress, type AddressStep } from '@virtio-platform/core/dma';
import { H_HARDWARE, H_SUCCESS, TCE_LIST_ENTRIES, TCE_READ, TCE_WRITE } from './tce-facility.ts';
import type { DmaWindow, TceFacility } from './tce-facility.ts';

const WORD = 0x1_0000_0000;
/** A page that is not cleared is lost to the window, and its memory to the guest, so a failing call is repeated. */
const CLEAR_ATTEMPTS = 3;

/**
 * A DMA window and its table of translation control entries, by page number. Inside a window an address is an offset, a
 * plain number; the base stays two words, because 2^59 plus an offset is not exact as a double. Hot: no allocation.
 */
export class TceWindow {
  readonly window: DmaWindow;
  /** A power of two, at most 2^24. */
  readonly pageSize: number;
  readonly pages: number;
  readonly #facility: TceFacility;
  readonly #pageShift: number;
  readonly #liobn: number;
  readonly #baseLow: number;
  readonly #baseHigh: number;
  /** Whether one hypercall writes several entries. */
  readonly #hasLists: boolean;
  readonly #bus = new Uint32Array(2);
  readonly #list = new Uint32Array(2 * TCE_LIST_ENTRIES);

  /** With `multiTce: false`, and where the firmware lacks the calls, each entry is a hypercall of its own. */
  constructor(facility: TceFacility, window: DmaWindow, { multiTce = true }: { readonly multiTce?: boolean } = {}) {
    this.window = window;
    this.#hasLists = multiTce && facility.multiTce !== false;
    this.pageSize = 2 ** window.pageShift;
    this.#pageShift = window.pageShift;
    this.pages = Math.floor(window.size / this.pageSize);
    this.#facility = facility;
    this.#liobn = window.liobn;
    this.#baseLow = Number(window.base & 0xffff_ffffn);
    this.#baseHigh = Number(window.base >> 32n);
  }

  /** How many pages 1 to 2^32 bytes take from the start of a page on. */
  pagesIn(bytes: number): number {
    return ((bytes - 1) >>> this.#pageShift) + 1;
  }

  /** Writes the bus address of `offset` in this window as low and high word. */
  writeBusAddress(offset: number, words: Uint32Array, at: number): void {
    writeDeviceAddress(offset, this.#baseLow, this.#baseHigh, words, at);
  }

  /**
   * Points `count` pages from `page` on at guest memory from `address` on, a multiple of the page size. Returns the
   * code of the first hypercall that failed; entries before it may be applied then.
   */
  put(page: number, count: number, address: number, permission: number): number {
    if (count === 1) return this.#putOne(page, address, permission);
    if (!this.#hasLists) return this.#putEach(page, count, address, permission);
    const bus = this.#bus;
    for (let done = 0; done < count;) {
      const entries = Math.min(count - done, TCE_LIST_ENTRIES);
      for (let i = 0; i < entries; i++) {
        const target = address + (done + i) * this.pageSize;
        this.#list[2 * i] = target | permission;
        this.#list[2 * i + 1] = Math.floor(target / WORD);
      }
      this.writeBusAddress((page + done) * this.pageSize, bus, 0);
      const status = this.#facility.putTceIndirect(this.#liobn, bus[0]!, bus[1]!, this.#list, entries);
      if (status !== H_SUCCESS) return status;
      done += entries;
    }
    return H_SUCCESS;
  }

  /**
   * Clears the entries of `count` pages. Returns the code of a hypercall that failed in all attempts, after trying all
   * lists. In lists of 512 as Linux (`tce_freemulti_pSeriesLP`): a hypervisor need not do more in one call.
   */
  clear(page: number, count: number): number {
    if (!this.#hasLists) return this.#clearEach(page, count);
    const bus = this.#bus;
    let result = H_SUCCESS;
    for (let done = 0; done < count; done += TCE_LIST_ENTRIES) {
      const entries = Math.min(count - done, TCE_LIST_ENTRIES);
      this.writeBusAddress((page + done) * this.pageSize, bus, 0);
      let status = H_HARDWARE;
      for (let attempt = 0; attempt < CLEAR_ATTEMPTS && status !== H_SUCCESS; attempt++) {
        status = this.#facility.stuffTce(this.#liobn, bus[0]!, bus[1]!, 0, 0, entries);
      }
      if (status !== H_SUCCESS) result = status;
    }
    return result;
  }

  #putOne(page: number, address: number, permission: number): number {
    const bus = this.#bus;
    this.writeBusAddress(page * this.pageSize, bus, 0);
    const tceLow = (address | permission) >>> 0;
    return this.#facility.putTce(this.#liobn, bus[0]!, bus[1]!, tceLow, (address / WORD) >>> 0);
  }

  #putEach(page: number, count: number, address: number, permission: number): number {
    for (let done = 0; done < count; done++) {
      const status = this.#putOne(page + done, address + done * this.pageSize, permission);
      if (status !== H_SUCCESS) return status;
    }
    return H_SUCCESS;
  }

  /** As {@link clear} of lists, one entry after the other (Linux `tce_free_pSeriesLP`). */
  #clearEach(page: number, count: number): number {
    let result = H_SUCCESS;
    for (let done = 0; done < count; done++) {
      let status = H_HARDWARE;
      for (let attempt = 0; attempt < CLEAR_ATTEMPTS && status !== H_SUCCESS; attempt++)
        status = this.#putOne(page + done, 0, 0);
      if (status !== H_SUCCESS) result = status;
    }
    return result;
  }

  /** Asks the hypervisor whether `page` points at `address` with this permission. Cold. */
  pointsAt(page: number, address: number, permission: number): boolean {
    const tce = this.entry(page);
    return tce !== undefined && tce[0] === (address | permission) >>> 0 && tce[1] === Math.floor(address / WORD);
  }

  /** Reads the guest-physical address behind a bus address: -1 outside of the window and without permissions. Cold. */
  resolve(low: number, high: number): number {
    const offset = deviceAddressOffset(low, high, this.#baseLow, this.#baseHigh);
    if (!(offset >= 0 && offset < this.window.size)) return -1;
    const inPage = offset % this.pageSize;
    const tce = this.entry((offset - inPage) / this.pageSize);
    if (tce === undefined || (tce[0]! & (TCE_READ | TCE_WRITE)) === 0) return -1;
    return tce[1]! * WORD + ((tce[0]! & -this.pageSize) >>> 0) + inPage;
  }

  /** The steps of {@link resolve}: the window, then the entry of its table. Cold. */
  walk(low: number, high: number): readonly AddressStep[] {
    const { base, size, liobn } = this.window;
    const offset = deviceAddressOffset(low, high, this.#baseLow, this.#baseHigh);
    const range = `0x${base.toString(16)} to 0x${(base + BigInt(size) - 1n).toString(16)}`;
    const window = { table: `DMA window (LIOBN 0x${liobn.toString(16)})` };
    if (!(offset >= 0 && offset < size)) return [{ ...window, says: `outside: the window has ${range}` }];
    const page = Math.floor(offset / this.pageSize);
    const tce = this.entry(page);
    const table = `TCE table, pages of 0x${this.pageSize.toString(16)}`;
    return [
      { ...window, says: `inside ${range}, at offset 0x${offset.toString(16)}` },
      { table, says: tce === undefined ? `the hypervisor does not tell entry ${page}` : this.#describe(page, tce) },
    ];
  }

  #describe(page: number, tce: Uint32Array): string {
    const may = [...((tce[0]! & TCE_READ) === 0 ? [] : ['read']), ...((tce[0]! & TCE_WRITE) === 0 ? [] : ['write'])];
    if (may.length === 0) return `entry ${page} is empty: nothing is mapped there`;
    const address = tce[1]! * WORD + ((tce[0]! & -this.pageSize) >>> 0);
    return `entry ${page} points at page 0x${address.toString(16)}, to ${may.join(' and ')}`;
  }

  /** Asks the hypervisor for an entry, as low and high word; `undefined` where it does not tell. Cold. */
  entry(page: number): Uint32Array | undefined {
    const bus = this.#bus;
    const tce = new Uint32Array(2);
    this.writeBusAddress(page * this.pageSize, bus, 0);
    return this.#facility.getTce(this.#liobn, bus[0]!, bus[1]!, tce) === H_SUCCESS ? tce : undefined;
  }
}
