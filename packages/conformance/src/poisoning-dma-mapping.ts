import { DmaError, isCodedError } from '@virtio-platform/core';
import {
  TranslatedAddressSpace,
  type AddressTranslation,
  type DeviceAccess,
  type DeviceAddressSpace,
  type FaultCause,
  type FaultLog,
} from '@virtio-platform/core/address-space';
import { checkSyncRange, DMA_NO_SPACE, DMA_UNREACHABLE, DmaDirection } from '@virtio-platform/core/dma';
import { MappingTable, regionReleasedError, writeDeviceAddress } from '@virtio-platform/core/dma';
import type { DmaLimits, DmaMapping, DmaRegion, DmaStatistics } from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';

/** Fills memory with undefined content: a copy before the device wrote it, and a copy that was unmapped. */
export const POISON = 0xdb;

/** Device addresses are multiples of this, with a gap after each mapping, so that no two mappings touch. */
const ADDRESS_STEP = 4096;

/** How to open a {@link PoisoningDmaMapping}. */
export interface PoisoningDmaMappingOptions {
  /** How many mappings can live at once. */
  readonly capacity: number;
  /** Device address of the first mapping: 2^40 unless given. 0 is valid (reference case M5). */
  readonly firstAddress?: number;
}

/**
 * A published fake for tests: the strictest mapping that the contract allows. Every mapping is a copy at a device
 * address that was never used before. Copies are poisoned before and after use. `unmap` copies back only the written
 * bytes. Through {@link openAddressSpace} the device reaches exactly the bytes of live mappings, in their direction.
 * Not for the hot path.
 */
export class PoisoningDmaMapping implements DmaMapping {
  readonly path = 'bounced+translated';
  readonly limits: DmaLimits;
  readonly #memory: GuestMemory;
  readonly #table: MappingTable;
  readonly #windows = new Map<number, Window>();
  readonly #regions = new Set<PoisoningRegion>();
  readonly #translation: WindowTranslation;
  #nextAddress: number;
  #budget = Infinity;
  #maps = 0;
  #unmaps = 0;
  #bytesBounced = 0;

  constructor(memory: GuestMemory, options: PoisoningDmaMappingOptions) {
    this.#memory = memory;
    this.#table = new MappingTable(options.capacity);
    this.#translation = new WindowTranslation();
    this.#nextAddress = options.firstAddress ?? 2 ** 40;
    this.limits = {
      addressBits: 64,
      maxMappingSize: memory.size,
      alignment: ADDRESS_STEP,
      boundary: Infinity,
      maxMappings: options.capacity,
    };
  }

  get statistics(): DmaStatistics {
    const live = this.#table.live + this.#regions.size;
    return { maps: this.#maps, unmaps: this.#unmaps, bytesBounced: this.#bytesBounced, live };
  }

  /** Opens the device's view: the live mappings only. */
  openAddressSpace(faults: FaultLog): DeviceAddressSpace {
    return new TranslatedAddressSpace(this.#memory, faults, this.#translation);
  }

  /** Lets `count` more calls of `map` succeed; later calls return {@link DMA_NO_SPACE}. `Infinity` lifts the limit. */
  failMapsAfter(count: number): void {
    this.#budget = count;
  }

  map(address: number, length: number, direction: DmaDirection, words: Uint32Array, at: number): number {
    if (!this.#memory.contains(address, length)) return DMA_UNREACHABLE;
    if (this.#budget === 0 || this.#table.live === this.#table.capacity) return DMA_NO_SPACE;
    const copy = this.#tryAllocate(length);
    if (copy < 0) return DMA_NO_SPACE;
    this.#budget--;
    const id = this.#table.open(address, length, direction);
    if (direction === DmaDirection.FromDevice) this.#memory.u8.fill(POISON, copy, copy + length);
    else this.#copy(copy, address, length);
    const window = this.#open(copy, length, direction);
    this.#windows.set(id, window);
    this.#maps++;
    writeDeviceAddress(window.start, 0, 0, words, at);
    return id;
  }

  unmap(id: number, written: number): void {
    const slot = this.#table.slotOf(id);
    const window = this.#windows.get(id)!;
    if (window.direction !== DmaDirection.ToDevice) {
      this.#copy(this.#table.address[slot]!, window.copy, Math.min(written, window.length));
    }
    this.#close(window);
    this.#windows.delete(id);
    this.#table.close(slot);
    this.#unmaps++;
  }

  syncForCpu(id: number, offset: number, length: number): void {
    const slot = this.#table.checkedSlot(id, offset, length);
    const window = this.#windows.get(id)!;
    if (window.direction === DmaDirection.ToDevice) return;
    this.#copy(this.#table.address[slot]! + offset, window.copy + offset, length);
  }

  syncForDevice(id: number, offset: number, length: number): void {
    const slot = this.#table.checkedSlot(id, offset, length);
    const window = this.#windows.get(id)!;
    if (window.direction === DmaDirection.FromDevice) return;
    this.#copy(window.copy + offset, this.#table.address[slot]! + offset, length);
  }

  premap(address: number, length: number, direction: DmaDirection): DmaRegion {
    if (!this.#memory.contains(address, length) || !(length > 0)) {
      throw new DmaError(
        'ERR_DMA_RANGE',
        `cannot map ${length} bytes at 0x${address.toString(16)}: outside guest memory`,
      );
    }
    const copy = this.#memory.allocate(length);
    this.#copy(copy, address, length);
    return this.#openRegion(address, copy, length, direction);
  }

  allocateCoherent(length: number, alignment: number): DmaRegion {
    const address = this.#memory.allocate(length, Math.max(alignment, ADDRESS_STEP));
    return this.#openRegion(address, address, length, DmaDirection.Bidirectional, alignment);
  }

  resolve(low: number, high: number): number {
    return this.#translation.lookUp(high * 0x1_0000_0000 + low);
  }

  dispose(): void {
    for (const id of this.#table.liveIds()) this.unmap(id, 0);
    for (const region of this.#regions) region.release();
  }

  #openRegion(address: number, copy: number, length: number, direction: DmaDirection, alignment = 1): DmaRegion {
    const window = this.#open(copy, length, direction, alignment);
    const region = new PoisoningRegion(
      address,
      window,
      (to, from, bytes) => this.#copy(to, from, bytes),
      () => {
        if (!this.#regions.delete(region)) throw regionReleasedError();
        this.#close(window);
        this.#unmaps++;
      },
    );
    this.#regions.add(region);
    this.#maps++;
    return region;
  }

  #open(copy: number, length: number, direction: DmaDirection, alignment = 1): Window {
    const step = Math.max(alignment, ADDRESS_STEP);
    const start = Math.ceil(this.#nextAddress / step) * step;
    this.#nextAddress = start + (Math.ceil(length / ADDRESS_STEP) + 1) * ADDRESS_STEP;
    const window = { start, copy, length, direction };
    this.#translation.windows.push(window);
    return window;
  }

  #close(window: Window): void {
    this.#translation.remove(window);
    this.#memory.u8.fill(POISON, window.copy, window.copy + window.length);
    this.#memory.free(window.copy);
  }

  #tryAllocate(length: number): number {
    try {
      return this.#memory.allocate(length);
    } catch (error) {
      if (isCodedError(error) && error.code === 'ERR_DMA_EXHAUSTED') return -1;
      throw error;
    }
  }

  #copy(to: number, from: number, length: number): void {
    this.#memory.u8.copyWithin(to, from, from + length);
    this.#bytesBounced += length;
  }
}

/** One live mapping: its device address, and the copy that the device reaches there. */
interface Window {
  readonly start: number;
  readonly copy: number;
  readonly length: number;
  readonly direction: DmaDirection;
}

class WindowTranslation implements AddressTranslation {
  readonly windows: Window[] = [];
  generation = 0;
  run = 0;
  cause: FaultCause = 'unmapped';

  remove(window: Window): void {
    this.windows.splice(this.windows.indexOf(window), 1);
    this.generation++;
  }

  translate(low: number, high: number, access: DeviceAccess): number {
    const address = high * 0x1_0000_0000 + low;
    const window = this.#windowAt(address);
    this.run = window === undefined ? 1 : window.start + window.length - address;
    if (window === undefined) return this.#refuse('unmapped');
    if (access === 'read' && window.direction === DmaDirection.FromDevice) return this.#refuse('read-not-permitted');
    if (access === 'write' && window.direction === DmaDirection.ToDevice) return this.#refuse('write-not-permitted');
    return window.copy + (address - window.start);
  }

  /** The guest-physical address behind a device address, for any access; -1 where nothing is mapped. */
  lookUp(address: number): number {
    const window = this.#windowAt(address);
    return window === undefined ? -1 : window.copy + (address - window.start);
  }

  #windowAt(address: number): Window | undefined {
    return this.windows.find(({ start, length }) => address >= start && address < start + length);
  }

  #refuse(cause: FaultCause): number {
    this.cause = cause;
    return -1;
  }
}

class PoisoningRegion implements DmaRegion {
  readonly address: number;
  readonly length: number;
  readonly direction: DmaDirection;
  readonly release: () => void;
  readonly #window: Window;
  readonly #copy: (to: number, from: number, length: number) => void;

  constructor(
    address: number,
    window: Window,
    copy: (to: number, from: number, length: number) => void,
    release: () => void,
  ) {
    this.address = address;
    this.length = window.length;
    this.direction = window.direction;
    this.release = release;
    this.#window = window;
    this.#copy = copy;
  }

  writeDeviceAddress(offset: number, words: Uint32Array, at: number): void {
    writeDeviceAddress(this.#window.start + offset, 0, 0, words, at);
  }

  syncForDevice(offset: number, length: number): void {
    checkSyncRange(offset, length, this.length);
    if (this.direction === DmaDirection.FromDevice || this.#window.copy === this.address) return;
    this.#copy(this.#window.copy + offset, this.address + offset, length);
  }

  syncForCpu(offset: number, length: number): void {
    checkSyncRange(offset, length, this.length);
    if (this.direction === DmaDirection.ToDevice || this.#window.copy === this.address) return;
    this.#copy(this.address + offset, this.#window.copy + offset, length);
  }
}
