import { DmaError } from '@virtio-platform/core';
import { DMA_NO_SPACE, DMA_TOO_LARGE, ZeroCopyDmaMapping } from '@virtio-platform/core/dma';
import type { AddressStep, CoherentMemory, DmaDirection } from '@virtio-platform/core/dma';
import { formatByteSize, PAGE_SIZE, type GuestMemory, type LeakLog } from '@virtio-platform/core/memory';
import type { DynamicTceWindow } from './dynamic-tce-window.ts';
import { H_SUCCESS } from './tce-facility.ts';

/** What a mapping may have beside its window. */
export interface TceMappingTerms {
  readonly coherent?: CoherentMemory | undefined;
  readonly leaks?: LeakLog;
  readonly more?: string;
}

/**
 * Gives every mapping bus pages of its own in a shared window, and a TCE for each page. A device reaches whole pages of
 * the window, so it also reaches the neighbours of a buffer in its first and last page: the cost of a window's page
 * size.
 */
export class TceDmaMapping extends ZeroCopyDmaMapping {
  readonly #window: DynamicTceWindow;
  readonly #more: string;

  /**
   * `capacity` is how many mappings can live at once; coherent memory is guest memory unless given. `more` says in
   * errors how to have a larger window. The mapping owns nothing that it is given.
   */
  constructor(
    memory: GuestMemory,
    window: DynamicTceWindow,
    capacity: number,
    { coherent = memory, leaks, more = 'use a larger window' }: TceMappingTerms = {},
  ) {
    const { pageSize, window: dmaWindow } = window.table;
    const { size } = window;
    const limits = {
      addressBits: addressBitsOf(dmaWindow.base + BigInt(size), size < dmaWindow.size),
      // One page less than the window, for a buffer that begins in the middle of a page. Lengths are 32 bits.
      maxMappingSize: Math.min(size, 2 ** 32) - pageSize,
      alignment: 1,
      boundary: Infinity,
      maxMappings: capacity,
    };
    super({ path: 'translated', limits, capacity, reach: memory.size, coherentUnit: PAGE_SIZE, coherent, leaks });
    this.#window = window;
    this.#more = more;
  }

  resolve(low: number, high: number): number {
    return this.#window.table.resolve(low, high);
  }

  walk(low: number, high: number): readonly AddressStep[] {
    return this.#window.table.walk(low, high);
  }

  /** The place is the offset of the first byte in the window. */
  protected mapPages(address: number, length: number, direction: DmaDirection, alignment: number): number {
    return this.#window.map(address, length, direction, alignment);
  }

  /** Without success the memory is lost too: the device may still reach it. */
  protected unmapPages(offset: number, _address: number, length: number, free: () => void): boolean {
    const isCleared = this.#window.unmap(offset, length);
    if (isCleared) free();
    return isCleared;
  }

  protected writePlace(offset: number, _address: number, words: Uint32Array, at: number): void {
    this.#window.table.writeBusAddress(offset, words, at);
  }

  protected override keptReason(offset: number): string {
    const words = new Uint32Array(2);
    this.writePlace(offset, 0, words, 0);
    const address = (BigInt(words[1]!) << 32n) + BigInt(words[0]!);
    return `the hypervisor did not clear the TCEs of bus address 0x${address.toString(16)}`;
  }

  protected override get takenPages(): number {
    return this.#window.takenPages;
  }

  protected regionError(reason: number, length: number): DmaError {
    const { window, pages } = this.#window.table;
    const where = `DMA window 0x${window.base.toString(16)}+0x${window.size.toString(16)}`;
    if (reason === DMA_TOO_LARGE) {
      const most = formatByteSize(this.limits.maxMappingSize);
      return new DmaError('ERR_DMA_RANGE', `${where}: ${length} bytes are more than the ${most} of one mapping`, {
        hint: `${this.#more}, or map less at once (a smaller pool, or smaller blocks)`,
      });
    }
    const { status, takenPages } = this.#window;
    if (status !== H_SUCCESS) {
      const code = reason === DMA_NO_SPACE ? 'ERR_DMA_EXHAUSTED' : 'ERR_DMA_RANGE';
      return new DmaError(code, `${where}: the hypervisor answers ${status} while ${length} bytes are mapped`, {
        hint: 'the machine has no resources left, does not let this guest map this memory, or removed the window',
      });
    }
    return new DmaError(
      'ERR_DMA_EXHAUSTED',
      `${where}: no room for ${length} bytes; ${takenPages} of ${pages} pages are taken`,
      { hint: `${this.#more}, or ask for less (a smaller queue or depth)` },
    );
  }
}

/** The width of a window that ends at `end`: that of its kind, or what the device takes where that is less. */
function addressBitsOf(end: bigint, isCut: boolean): number {
  if (isCut) return Math.ceil(Math.log2(Number(end)));
  return end > 2n ** 32n ? 64 : 32;
}
