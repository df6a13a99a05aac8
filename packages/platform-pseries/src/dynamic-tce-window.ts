import { DMA_NO_SPACE, DMA_TOO_LARGE, DMA_UNREACHABLE, DmaDirection } from '@virtio-platform/core/dma';
import { PageAllocator } from '@virtio-platform/core/memory';
import { H_NOT_ENOUGH_RESOURCES, H_SUCCESS, TCE_READ, TCE_WRITE } from './tce-facility.ts';
import type { TceWindow } from './tce-window.ts';

/**
 * How to treat a hypercall that fails for another reason than H_NOT_ENOUGH_RESOURCES. `fail`: the mapping fails.
 * `linux`: the mapping succeeds, as in Linux, which prints "tce_build_pSeriesLP: plpar_tce_put failed" and returns an
 * address without a translation, and which reuses a page that the hypervisor did not clear. So the fault comes later,
 * at the device, without a hint of its cause.
 */
export type OnHypercallError = 'fail' | 'linux';

/**
 * A window in which every mapping gets bus pages of its own. There is one per device, which all its queues share, so
 * the record of taken pages is here and not in their mappings. Hot: no allocation.
 */
export class DynamicTceWindow {
  readonly table: TceWindow;
  readonly #onHypercallError: OnHypercallError;
  readonly #busPages: PageAllocator;
  #status: number = H_SUCCESS;

  /**
   * The first `reservedPages` are never mapped, nor those that are 1 in `held`, and none from page `pages` on: the
   * device cannot address them.
   */
  constructor(
    table: TceWindow,
    onHypercallError: OnHypercallError = 'fail',
    reservedPages: number = 0,
    held: Uint8Array = new Uint8Array(0),
    pages: number = table.pages,
  ) {
    this.table = table;
    this.#onHypercallError = onHypercallError;
    this.#busPages = new PageAllocator(0, Math.min(pages, table.pages), 'upward');
    if (reservedPages > 0) this.#busPages.take(reservedPages, 1, 0);
    for (let page = held.indexOf(1); page >= 0; page = held.indexOf(1, page + 1)) this.#busPages.takeAt(page, 1);
  }

  /** Bytes of bus addresses that it hands out. */
  get size(): number {
    return this.#busPages.count * this.table.pageSize;
  }

  /** Bus pages in use, and pages whose entries could not be cleared. */
  get takenPages(): number {
    return this.#busPages.takenCount;
  }

  /** The hypervisor's answer to the last `map`; H_SUCCESS also where `map` made no hypercall. */
  get status(): number {
    return this.#status;
  }

  /**
   * Points free bus pages at guest memory. Returns the offset of the first byte in the window: its offset in the bus
   * page is that in the guest page. Or returns a negative DMA_* reason, and then no entry is left.
   */
  map(address: number, length: number, direction: DmaDirection, alignment: number): number {
    const { pageSize } = this.table;
    const inPage = address & (pageSize - 1);
    const count = this.table.pagesIn(inPage + length);
    this.#status = H_SUCCESS;
    if (count > this.#busPages.count) return DMA_TOO_LARGE;
    const page = this.#busPages.take(count, alignment > pageSize ? alignment / pageSize : 1, 0);
    if (page < 0) return DMA_NO_SPACE;
    const status = this.table.put(page, count, address - inPage, permissionOf(direction));
    this.#status = status;
    const isTransient = status === H_NOT_ENOUGH_RESOURCES;
    if (status === H_SUCCESS || (this.#onHypercallError === 'linux' && !isTransient)) return page * pageSize + inPage;
    this.#release(page, count);
    return isTransient ? DMA_NO_SPACE : DMA_UNREACHABLE;
  }

  /** Unmaps what `map` returned for the same length. Returns false when the hypervisor refused. */
  unmap(offset: number, length: number): boolean {
    const { table } = this;
    const inPage = offset & (table.pageSize - 1);
    return this.#release((offset - inPage) / table.pageSize, table.pagesIn(inPage + length));
  }

  /**
   * Except with `linux`, bus pages whose entries could not be cleared stay taken: the device may still reach through
   * them.
   */
  #release(page: number, count: number): boolean {
    if (this.table.clear(page, count) !== H_SUCCESS && this.#onHypercallError === 'fail') return false;
    this.#busPages.give(page, count);
    return true;
  }
}

/**
 * Exactly the permissions of a direction. Linux (`tce_build_pSeriesLP`) adds READ to every buffer that the device
 * writes, so there a device can read such a buffer.
 */
function permissionOf(direction: DmaDirection): number {
  if (direction === DmaDirection.ToDevice) return TCE_READ;
  if (direction === DmaDirection.FromDevice) return TCE_WRITE;
  return TCE_READ | TCE_WRITE;
}
