import { DmaError } from '@virtio-platform/core';
import {
  DMA_NO_SPACE,
  DMA_TOO_LARGE,
  DMA_UNREACHABLE,
  DmaDirection,
  MappingTable,
  type DmaLimits,
  type DmaMapping,
  type DmaRegion,
  type DmaStatistics,
} from '@virtio-platform/core/dma';
import { formatByteSize, PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';
import type { DynamicTceWindow } from './dynamic-tce-window.ts';
import { H_SUCCESS } from './tce-facility.ts';
import { TceRegion } from './tce-region.ts';

/**
 * Gives every mapping bus pages of its own in a shared window, and a TCE for each page. A device reaches whole pages of the
 * window: neighbours of a buffer in its first and last page too, which is what the page size of a window costs.
 */
export class TceDmaMapping implements DmaMapping {
  readonly path = 'translated';
  readonly limits: DmaLimits;
  readonly barrier = undefined;
  readonly #memory: GuestMemory;
  readonly #coherent: Pick<GuestMemory, 'allocate' | 'free'>;
  readonly #window: DynamicTceWindow;
  /** `tag` is the offset in the window. */
  readonly #table: MappingTable;
  readonly #regions = new Set<TceRegion>();
  #maps = 0;
  #unmaps = 0;
  /** Given back by their owners, and the hypervisor did not take them: they count as live for ever. */
  #stuck = 0;

  /** `capacity` is how many mappings can live at once. The window stays its owner's, and so does `coherent`. */
  constructor(
    memory: GuestMemory,
    window: DynamicTceWindow,
    capacity: number,
    coherent: Pick<GuestMemory, 'allocate' | 'free'> = memory,
  ) {
    const { pageSize, window: dmaWindow } = window.table;
    this.#memory = memory;
    this.#coherent = coherent;
    this.#window = window;
    this.#table = new MappingTable(capacity);
    this.limits = {
      addressBits: dmaWindow.base + BigInt(dmaWindow.size) > 2n ** 32n ? 64 : 32,
      // One page less than the window, for a buffer that begins in the middle of one. Lengths are 32 bits.
      maxMappingSize: Math.min(dmaWindow.size, 2 ** 32) - pageSize,
      alignment: 1,
      boundary: Infinity,
      maxMappings: capacity,
    };
  }

  get statistics(): DmaStatistics {
    const live = this.#table.live + this.#regions.size + this.#stuck;
    return { maps: this.#maps, unmaps: this.#unmaps, bytesBounced: 0, live };
  }

  map(address: number, length: number, direction: DmaDirection, words: Uint32Array, at: number): number {
    if (!this.#memory.contains(address, length)) return DMA_UNREACHABLE;
    if (length > this.limits.maxMappingSize) return DMA_TOO_LARGE;
    if (this.#table.live === this.#table.capacity) return DMA_NO_SPACE;
    const offset = this.#window.map(address, length, direction, 1);
    if (offset < 0) return offset;
    const id = this.#table.open(address, length, direction);
    this.#table.tag[this.#table.slotOf(id)] = offset;
    this.#maps++;
    this.#window.table.writeBusAddress(offset, words, at);
    return id;
  }

  unmap(id: number, _written: number): void {
    const slot = this.#table.slotOf(id);
    this.#giveBack(this.#table.tag[slot]!, this.#table.length[slot]!);
    this.#table.close(slot);
  }

  syncForCpu(id: number, _offset: number, _length: number): void {
    this.#table.slotOf(id);
  }

  syncForDevice(id: number, _offset: number, _length: number): void {
    this.#table.slotOf(id);
  }

  premap(address: number, length: number, direction: DmaDirection): DmaRegion {
    if (!this.#memory.contains(address, length) || !(length > 0)) {
      throw new DmaError(
        'ERR_DMA_RANGE',
        `cannot map ${length} bytes at 0x${address.toString(16)}: outside guest memory`,
      );
    }
    return this.#openRegion(address, length, direction, 1, () => {});
  }

  /** Takes whole pages of guest memory, so that with 4 KiB pages in the window the device reaches nothing beside the region. */
  allocateCoherent(length: number, alignment: number): DmaRegion {
    const bytes = Math.ceil(length / PAGE_SIZE) * PAGE_SIZE;
    const address = this.#coherent.allocate(bytes, Math.max(alignment, PAGE_SIZE));
    const free = (): void => this.#coherent.free(address);
    const taken = this.#window.takenPages;
    try {
      return this.#openRegion(address, length, DmaDirection.Bidirectional, alignment, free);
    } catch (error) {
      // Bus pages that were kept may still lead to it.
      if (this.#window.takenPages === taken) free();
      throw error;
    }
  }

  resolve(low: number, high: number): number {
    return this.#window.table.resolve(low, high);
  }

  dispose(): void {
    for (const id of this.#table.liveIds()) this.unmap(id, 0);
    for (const region of this.#regions) region.release();
  }

  #openRegion(
    address: number,
    length: number,
    direction: DmaDirection,
    alignment: number,
    free: () => void,
  ): DmaRegion {
    const offset =
      length > this.limits.maxMappingSize ? DMA_TOO_LARGE : this.#window.map(address, length, direction, alignment);
    if (offset < 0) throw this.#regionError(offset, length);
    const region = new TceRegion({ address, length, direction }, this.#window.table, offset, () => {
      if (!this.#regions.delete(region)) throw new RangeError('this DMA region was already released');
      // Memory that the device may still reach is nobody's any more.
      if (this.#giveBack(offset, length)) free();
    });
    this.#regions.add(region);
    this.#maps++;
    return region;
  }

  #giveBack(offset: number, length: number): boolean {
    const isCleared = this.#window.unmap(offset, length);
    if (isCleared) this.#unmaps++;
    else this.#stuck++;
    return isCleared;
  }

  #regionError(reason: number, length: number): DmaError {
    const { window, pages } = this.#window.table;
    const where = `DMA window 0x${window.base.toString(16)}+0x${window.size.toString(16)}`;
    if (reason === DMA_TOO_LARGE) {
      const most = formatByteSize(this.limits.maxMappingSize);
      return new DmaError(
        'ERR_DMA_RANGE',
        `${where}: ${length} bytes are more than the ${most} that one mapping can have here`,
        { hint: 'use a window of kind ddw, or map it in parts' },
      );
    }
    const { status, takenPages } = this.#window;
    if (status !== H_SUCCESS) {
      const code = reason === DMA_NO_SPACE ? 'ERR_DMA_EXHAUSTED' : 'ERR_DMA_RANGE';
      return new DmaError(code, `${where}: the hypervisor answers ${status} while ${length} bytes are mapped`, {
        hint: 'the machine has no resources for it, does not let this guest map this memory, or the window is gone',
      });
    }
    return new DmaError(
      'ERR_DMA_EXHAUSTED',
      `${where}: no room for ${length} bytes; ${takenPages} of ${pages} pages are taken`,
      { hint: 'use a window of kind ddw, or ask for less (a smaller queue or depth)' },
    );
  }
}
