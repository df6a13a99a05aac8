import { DirectDmaMapping, probeIdentity, type CoherentMemory, type DmaMapping } from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { WINDOW_SECTION, windowError } from './open-ddw-window.ts';
import { H_SUCCESS, TCE_LIST_ENTRIES, TCE_READ, TCE_WRITE } from './tce-facility.ts';
import type { TceWindow } from './tce-window.ts';

const READ_WRITE = TCE_READ | TCE_WRITE;

/**
 * A window whose table is written once: page i of guest memory at bus page i. The device then reaches all of it, in
 * both directions, and mapping a buffer costs an addition. Identity where the window begins at bus address 0, linear
 * elsewhere.
 */
export class DirectTceWindow {
  readonly #memory: GuestMemory;
  readonly #table: TceWindow;
  readonly #path: 'identity' | 'linear';
  readonly #pages: number;
  readonly #addressBits: number;

  private constructor(memory: GuestMemory, table: TceWindow, path: 'identity' | 'linear', addressBits: number) {
    this.#memory = memory;
    this.#table = table;
    this.#path = path;
    this.#addressBits = addressBits;
    // A last page that memory fills in part is mapped whole: there is no memory behind it.
    const most = Math.min(table.pages, 2 ** addressBits / table.pageSize);
    this.#pages = Math.min(most, Math.ceil(memory.size / table.pageSize));
  }

  /**
   * Writes the table, as far as the device takes the addresses. Throws {@link DmaError} `ERR_DMA_WINDOW`, and then the
   * table is empty.
   */
  static open(
    memory: GuestMemory,
    table: TceWindow,
    path: 'identity' | 'linear',
    { addressBits = 64, section = WINDOW_SECTION }: { readonly addressBits?: number; readonly section?: string } = {},
  ): DirectTceWindow {
    const { base } = table.window;
    if (path === 'identity' && base !== 0n)
      throw windowError(
        `the default window begins at bus address 0x${base.toString(16)}, so no table makes it the identity`,
        `use ${section}.mapping: dynamic`,
      );
    const opened = new DirectTceWindow(memory, table, path, addressBits);
    const status = table.put(0, opened.#pages, 0, READ_WRITE);
    if (status === H_SUCCESS) return opened;
    opened.clear();
    throw windowError(
      `the hypervisor answers ${status} while all of memory is mapped`,
      `use ${section}.mapping: dynamic, which maps only the buffers in use`,
    );
  }

  /**
   * Uses a table that maps all of memory already, as it is. Throws {@link DmaError} `ERR_DMA_WINDOW` where it does not.
   */
  static adopt(memory: GuestMemory, table: TceWindow, path: 'identity' | 'linear'): DirectTceWindow {
    const adopted = new DirectTceWindow(memory, table, path, 64);
    for (let page = 0; page < adopted.#pages; page++) {
      if (table.pointsAt(page, page * table.pageSize, READ_WRITE)) continue;
      throw windowError(
        `entry ${page} of the window that is held does not point at page ${page} of memory`,
        `use ${WINDOW_SECTION}.mapping: dynamic, which maps beside what is held`,
      );
    }
    return adopted;
  }

  /** Whether the window maps all of guest memory. */
  get reachesAllMemory(): boolean {
    return this.#pages * this.#table.pageSize >= this.#memory.size;
  }

  /** Opens the mapping of one queue; coherent memory is guest memory unless given. */
  openMapping(capacity: number, coherent: CoherentMemory = this.#memory): DmaMapping {
    return new DirectDmaMapping(this.#memory, {
      path: this.#path,
      capacity,
      coherent,
      offset: this.#table.window.base,
      limit: this.#pages * this.#table.pageSize,
      addressBits: Math.min(this.#addressBits, this.#path === 'identity' ? 32 : 64),
      resolve: (low, high) => this.#table.resolve(low, high),
      walk: (low, high) => this.#table.walk(low, high),
    });
  }

  /**
   * Whether bus addresses are physical ones: compares the address that a mapping gives, and one table entry of each
   * list of H_PUT_TCE_INDIRECT.
   */
  isIdentity(): boolean {
    const mapping = this.openMapping(1);
    if (!probeIdentity(mapping, this.#memory)) return false;
    for (let page = 0; page < this.#pages; page += TCE_LIST_ENTRIES) {
      if (!this.#table.pointsAt(page, page * this.#table.pageSize, READ_WRITE)) return false;
    }
    return true;
  }

  /** Clears every entry. */
  clear(): void {
    this.#table.clear(0, this.#pages);
  }
}
