import { DmaError } from '../errors/coded-error.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';
import { RING_REACH } from '../memory/memory-size.ts';
import type { LeakLog } from '../memory/leak-log.ts';
import { writeDeviceAddress } from './device-address.ts';
import {
  DMA_NO_SPACE,
  DMA_TOO_LARGE,
  DMA_UNREACHABLE,
  type DmaLimits,
  type DmaMapping,
  type DmaPath,
  type DmaStatistics,
} from './dma-mapping.ts';
import { checkSyncRange, DmaDirection, regionReleasedError, type DmaRegion } from './dma-region.ts';
import { MappingTable } from './mapping-table.ts';

/** Where a mapping gets coherent memory: guest memory, or pages that a protected guest shares with devices. */
export type CoherentMemory = Pick<GuestMemory, 'allocate' | 'free'>;

/** What a subclass of {@link ZeroCopyDmaMapping} states about itself. */
export interface ZeroCopyDmaMappingOptions {
  readonly path: DmaPath;
  readonly limits: DmaLimits;
  /** How many mappings can live at once. */
  readonly capacity: number;
  /** First guest-physical address that the device cannot reach. */
  readonly reach: number;
  /** Bytes, a power of two: coherent memory starts at a multiple of it and has a multiple of it as length. */
  readonly coherentUnit: number;
  readonly coherent: CoherentMemory;
  /** Where mappings are recorded that the platform could not take back: the log of the platform. */
  readonly leaks?: LeakLog | undefined;
}

/**
 * Base of the mappings through which a device accesses a buffer itself and no copy. It keeps the live mappings and
 * regions, counts them, and checks every range. A subclass adds what the platform does: it maps pages, unmaps them,
 * writes device addresses, resolves them, and states the error of a table that is full.
 *
 * A *place* is the number by which a subclass finds a mapping again: a non-negative number, such as a bus address or a
 * page number. Hot: no allocation.
 */
export abstract class ZeroCopyDmaMapping implements DmaMapping {
  readonly path: DmaPath;
  readonly limits: DmaLimits;
  /** The live buffers. `tag` is the place. */
  protected readonly table: MappingTable;
  readonly #regions = new Set<ZeroCopyRegion>();
  readonly #reach: number;
  readonly #maxMappingSize: number;
  readonly #coherentUnit: number;
  readonly #coherent: CoherentMemory;
  readonly #leaks: LeakLog | undefined;
  #maps = 0;
  #unmaps = 0;
  /** Mappings that their owners gave back and that the device may still reach. */
  #kept = 0;

  protected constructor(options: ZeroCopyDmaMappingOptions) {
    this.path = options.path;
    this.limits = { ...options.limits, reach: options.reach };
    this.table = new MappingTable(options.capacity);
    this.#reach = options.reach;
    this.#maxMappingSize = options.limits.maxMappingSize;
    this.#coherentUnit = options.coherentUnit;
    this.#coherent = options.coherent;
    this.#leaks = options.leaks;
  }

  get statistics(): DmaStatistics {
    const live = this.table.live + this.#regions.size;
    return { maps: this.#maps, unmaps: this.#unmaps, bytesBounced: 0, live, leaked: this.#kept };
  }

  map(address: number, length: number, direction: DmaDirection, words: Uint32Array, at: number): number {
    if (!(address >= 0) || !(length >= 0) || address + length > this.#reach) return DMA_UNREACHABLE;
    if (length > this.#maxMappingSize) return DMA_TOO_LARGE;
    const { table } = this;
    if (table.live === table.capacity) return DMA_NO_SPACE;
    const place = this.mapPages(address, length, direction, 1);
    if (place < 0) return place;
    const id = table.open(address, length, direction, place);
    this.#maps++;
    this.writePlace(place, address, words, at);
    return id;
  }

  unmap(id: number, _written: number): void {
    const { table } = this;
    const slot = table.slotOf(id);
    const place = table.tag[slot]!;
    const isUnmapped = this.unmapPages(place, table.address[slot]!, table.length[slot]!, nothingToFree);
    table.close(slot);
    this.#countUnmap(isUnmapped, place, table.address[slot]!, table.length[slot]!);
  }

  syncForCpu(id: number, offset: number, length: number): void {
    this.table.checkedSlot(id, offset, length);
  }

  syncForDevice(id: number, offset: number, length: number): void {
    this.table.checkedSlot(id, offset, length);
  }

  premap(address: number, length: number, direction: DmaDirection): DmaRegion {
    if (!(address >= 0) || !(length > 0) || address + length > this.#reach) {
      throw new DmaError(
        'ERR_DMA_RANGE',
        `cannot map ${length} bytes at 0x${address.toString(16)}: the device reaches guest memory below ` +
          `0x${this.#reach.toString(16)}`,
      );
    }
    return this.#openRegion(address, length, direction, length, 1, nothingToFree);
  }

  /**
   * Allocates whole units, so that where a unit is a page of the platform the device reaches no neighbour of the
   * region.
   */
  allocateCoherent(length: number, alignment: number): DmaRegion {
    const unit = Math.max(alignment, this.#coherentUnit);
    const bytes = this.coherentBytes(length, alignment);
    const address = this.#coherent.allocate(bytes, unit, Math.min(this.#reach, RING_REACH));
    const free = (): void => this.#coherent.free(address);
    const { takenPages } = this;
    try {
      return this.#openRegion(address, length, DmaDirection.Bidirectional, bytes, alignment, free);
    } catch (error) {
      // Pages that the platform could not take back from the device may still lead to this memory.
      if (this.takenPages === takenPages) free();
      throw error;
    }
  }

  dispose(): void {
    for (const id of this.table.liveIds()) this.unmap(id, 0);
    for (const region of this.#regions) region.release();
    this.#takeBackKept();
  }

  /** Guest-physical address behind a device address, see {@link DmaMapping.resolve}. Cold. */
  abstract resolve(low: number, high: number): number;

  /**
   * Maps the pages of a buffer. `alignment` is that of the device address. Returns the place, or a negative DMA_*
   * reason, and then nothing is mapped. Hot: no allocation.
   */
  protected abstract mapPages(address: number, length: number, direction: DmaDirection, alignment: number): number;

  /**
   * Unmaps what `mapPages` mapped and then calls `free`. Returns false where the device may still reach the pages: then
   * `free` is not called before they are taken back. Hot: no allocation.
   */
  protected abstract unmapPages(place: number, address: number, length: number, free: () => void): boolean;

  /** Writes the device address of a buffer from its place and its guest-physical address. Hot: no allocation. */
  protected abstract writePlace(place: number, address: number, words: Uint32Array, at: number): void;

  /** The error for a region that `mapRegion` refused with `reason`, a negative DMA_* code. */
  protected abstract regionError(reason: number, length: number): DmaError;

  /**
   * Maps the pages of a region, like {@link mapPages}. It may throw a {@link DmaError} instead of returning a reason.
   * Cold.
   */
  protected mapRegion(address: number, length: number, direction: DmaDirection, alignment: number): number {
    return length > this.#maxMappingSize ? DMA_TOO_LARGE : this.mapPages(address, length, direction, alignment);
  }

  /** Unmaps what `mapRegion` mapped, like {@link unmapPages}. Cold. */
  protected unmapRegion(place: number, address: number, length: number, free: () => void): boolean {
    return this.unmapPages(place, address, length, free);
  }

  /** Bytes of guest memory to allocate for `length` coherent bytes. Cold. */
  protected coherentBytes(length: number, _alignment: number): number {
    return Math.ceil(length / this.#coherentUnit) * this.#coherentUnit;
  }

  /** Pages in use, and pages that the platform could not take back from the device. Cold. */
  protected get takenPages(): number {
    return 0;
  }

  /**
   * Takes back pages that `unmapPages` left with the device. Called when nothing else is mapped. Returns whether all of
   * them are taken back. Cold.
   */
  protected reclaim(): boolean {
    return false;
  }

  /** Why the pages of a mapping that `unmapPages` left with the device are not back, in words. Cold. */
  protected keptReason(_place: number, _length: number): string {
    return 'pages that the platform could not unmap';
  }

  /** The live regions. Cold. */
  protected get regions(): ReadonlySet<ZeroCopyRegion> {
    return this.#regions;
  }

  /** `mappedLength` is the length of the memory that is mapped, at least `length`. */
  #openRegion(
    address: number,
    length: number,
    direction: DmaDirection,
    mappedLength: number,
    alignment: number,
    free: () => void,
  ): DmaRegion {
    const place = this.mapRegion(address, mappedLength, direction, alignment);
    if (place < 0) throw this.regionError(place, length);
    const words = new Uint32Array(2);
    this.writePlace(place, address, words, 0);
    const region = new ZeroCopyRegion(address, length, direction, words, () => {
      if (!this.#regions.delete(region)) throw regionReleasedError();
      const isUnmapped = this.unmapRegion(place, address, mappedLength, free);
      this.#countUnmap(isUnmapped, place, address, mappedLength);
    });
    this.#regions.add(region);
    this.#maps++;
    return region;
  }

  #countUnmap(isUnmapped: boolean, place: number, address: number, length: number): void {
    if (isUnmapped) this.#unmaps++;
    else this.#keep(place, address, length);
    this.#takeBackKept();
  }

  /** What the device kept may be taken back once nothing else is mapped. */
  #takeBackKept(): void {
    if (this.#kept === 0 || this.table.live > 0 || this.#regions.size > 0 || !this.reclaim()) return;
    this.#unmaps += this.#kept;
    this.#kept = 0;
    this.#leaks?.takenBack(this);
  }

  #keep(place: number, address: number, length: number): void {
    this.#kept++;
    // A device reaches whole units.
    const start = Math.floor(address / this.#coherentUnit) * this.#coherentUnit;
    const bytes = Math.ceil((address + length - start) / this.#coherentUnit) * this.#coherentUnit;
    this.#leaks?.record({ what: this.keptReason(place, length), address: start, length: bytes }, this);
  }
}

/** A region of a {@link ZeroCopyDmaMapping}. Both sides use the same memory, so a sync only checks its range. */
export class ZeroCopyRegion implements DmaRegion {
  readonly address: number;
  readonly length: number;
  readonly direction: DmaDirection;
  readonly release: () => void;
  /** Device address of the first byte, as low and high word. */
  readonly deviceLow: number;
  readonly deviceHigh: number;

  /** `words` is the device address of the first byte. */
  constructor(address: number, length: number, direction: DmaDirection, words: Uint32Array, release: () => void) {
    this.address = address;
    this.length = length;
    this.direction = direction;
    this.release = release;
    this.deviceLow = words[0]!;
    this.deviceHigh = words[1]!;
  }

  writeDeviceAddress(offset: number, words: Uint32Array, at: number): void {
    writeDeviceAddress(offset, this.deviceLow, this.deviceHigh, words, at);
  }

  syncForDevice(offset: number, length: number): void {
    checkSyncRange(offset, length, this.length);
  }

  syncForCpu(offset: number, length: number): void {
    checkSyncRange(offset, length, this.length);
  }
}

function nothingToFree(): void {}
