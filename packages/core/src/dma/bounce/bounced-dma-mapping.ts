import { DmaError } from '../../errors/coded-error.ts';
import type { GuestMemory } from '../../memory/guest-memory.ts';
import { DmaDirection } from '../dma-direction.ts';
import {
  DMA_NO_SPACE,
  DMA_TOO_LARGE,
  DMA_UNREACHABLE,
  type DmaLimits,
  type DmaMapping,
  type DmaStatistics,
} from '../dma-mapping.ts';
import type { DmaPath } from '../dma-path.ts';
import type { DmaRegion } from '../dma-region.ts';
import { MappingTable } from '../mapping-table.ts';
import { BOUNCE_SLOT_SIZE, type BouncePool } from './bounce-pool.ts';

/** A pool of slots and where it lies: `region` is the pool's memory, shared with the device and mapped once. */
export interface SharedBouncePool {
  readonly slots: BouncePool;
  readonly region: DmaRegion;
}

/**
 * Copies buffers through shared slots: the device never sees the buffer itself. Bouncing is a step of its own, in front of
 * whatever gives the slots their device addresses (`inner`), so it composes with identity, linear and translated mapping.
 *
 * A slot is always filled on map, whatever the direction: otherwise the bytes of its last owner would be copied into this
 * caller's buffer when the device writes less than it says (CVE-2022-0854). Only what was written is copied back.
 */
export class BouncedDmaMapping implements DmaMapping {
  readonly path: DmaPath;
  readonly limits: DmaLimits;
  readonly barrier: (() => void) | undefined;
  readonly resolve?: NonNullable<DmaMapping['resolve']>;
  readonly #memory: GuestMemory;
  readonly #pool: BouncePool;
  readonly #poolRegion: DmaRegion;
  readonly #inner: DmaMapping;
  readonly #area: number;
  readonly #table: MappingTable;
  readonly #regions = new Set<BouncedRegion>();
  #maps = 0;
  #unmaps = 0;
  #bytesBounced = 0;

  /**
   * `inner` allocates shared memory and gives it device addresses; it stays this mapping's to dispose. `area` is where in the pool it
   * looks for slots first: another one for every queue, so that each finds its own.
   */
  constructor(memory: GuestMemory, pool: SharedBouncePool, inner: DmaMapping, capacity: number, area = 0) {
    this.#memory = memory;
    this.#pool = pool.slots;
    this.#poolRegion = pool.region;
    this.#inner = inner;
    this.#area = area;
    this.#table = new MappingTable(capacity);
    this.path = bouncedPath(inner.path);
    this.barrier = inner.barrier;
    if (inner.resolve !== undefined) this.resolve = (low, high) => inner.resolve!(low, high);
    this.limits = {
      ...inner.limits,
      maxMappingSize: pool.slots.maxMappingSize,
      maxMappings: capacity,
    };
  }

  get statistics(): DmaStatistics {
    // Regions are counted where their twins are: in the inner mapping.
    const inner = this.#inner.statistics;
    return {
      maps: this.#maps + inner.maps,
      unmaps: this.#unmaps + inner.unmaps,
      bytesBounced: this.#bytesBounced,
      live: this.#table.live + inner.live,
    };
  }

  map(address: number, length: number, direction: DmaDirection, words: Uint32Array, at: number): number {
    if (!this.#memory.contains(address, length)) return DMA_UNREACHABLE;
    if (length > this.limits.maxMappingSize) return DMA_TOO_LARGE;
    const offset = this.#pool.take(address, length, this.#area);
    if (offset < 0) return DMA_NO_SPACE;
    const id = this.#table.open(address, length, direction);
    if (id < 0) {
      this.#pool.give(offset, length);
      return DMA_NO_SPACE;
    }
    this.#table.tag[id % this.#table.capacity] = offset;
    this.#maps++;
    this.#copy(this.#poolRegion.address + offset, address, length);
    this.#poolRegion.writeDeviceAddress(offset, words, at);
    return id;
  }

  unmap(id: number, written: number): void {
    const slot = this.#table.slotOf(id);
    const length = this.#table.length[slot]!;
    const offset = this.#table.tag[slot]!;
    const brought = written < length ? written : length;
    if (this.#table.direction[slot] !== DmaDirection.ToDevice && brought > 0) {
      this.#copy(this.#table.address[slot]!, this.#poolRegion.address + offset, brought);
    }
    this.#pool.give(offset, length);
    this.#table.close(slot);
    this.#unmaps++;
  }

  syncForCpu(id: number, offset: number, length: number): void {
    const slot = this.#table.checkedSlot(id, offset, length);
    if (this.#table.direction[slot] === DmaDirection.ToDevice) return;
    this.#copy(this.#table.address[slot]! + offset, this.#poolRegion.address + this.#table.tag[slot]! + offset, length);
  }

  syncForDevice(id: number, offset: number, length: number): void {
    const slot = this.#table.checkedSlot(id, offset, length);
    if (this.#table.direction[slot] === DmaDirection.FromDevice) return;
    this.#copy(this.#poolRegion.address + this.#table.tag[slot]! + offset, this.#table.address[slot]! + offset, length);
  }

  /** The region gets a shared twin of its own, not slots: it lives long, and has to be contiguous beyond 256 KiB. */
  premap(address: number, length: number, direction: DmaDirection): DmaRegion {
    if (!this.#memory.contains(address, length) || !(length > 0)) {
      throw new DmaError(
        'ERR_DMA_RANGE',
        `cannot map ${length} bytes at 0x${address.toString(16)}: outside guest memory`,
      );
    }
    const twin = this.#inner.allocateCoherent(length, BOUNCE_SLOT_SIZE);
    const region = new BouncedRegion(
      address,
      length,
      direction,
      twin,
      (to, from, bytes) => this.#copy(to, from, bytes),
      () => {
        if (!this.#regions.delete(region)) throw new RangeError('this DMA region was already released');
        twin.release();
      },
    );
    this.#copy(twin.address, address, length);
    this.#regions.add(region);
    return region;
  }

  allocateCoherent(length: number, alignment: number): DmaRegion {
    return this.#inner.allocateCoherent(length, alignment);
  }

  dispose(): void {
    for (const id of this.#table.liveIds()) this.unmap(id, 0);
    for (const region of this.#regions) region.release();
    this.#inner.dispose();
  }

  #copy(to: number, from: number, length: number): void {
    this.#memory.u8.copyWithin(to, from, from + length);
    this.#bytesBounced += length;
  }
}

/** A region and its shared twin. Syncing copies in the direction of the mapping only. */
class BouncedRegion implements DmaRegion {
  readonly address: number;
  readonly length: number;
  readonly direction: DmaDirection;
  readonly release: () => void;
  readonly #twin: DmaRegion;
  readonly #copy: (to: number, from: number, length: number) => void;

  constructor(
    address: number,
    length: number,
    direction: DmaDirection,
    twin: DmaRegion,
    copy: (to: number, from: number, length: number) => void,
    release: () => void,
  ) {
    this.address = address;
    this.length = length;
    this.direction = direction;
    this.release = release;
    this.#twin = twin;
    this.#copy = copy;
  }

  writeDeviceAddress(offset: number, words: Uint32Array, at: number): void {
    this.#twin.writeDeviceAddress(offset, words, at);
  }

  syncForDevice(offset: number, length: number): void {
    this.#checkRange(offset, length);
    if (this.direction === DmaDirection.FromDevice) return;
    this.#copy(this.#twin.address + offset, this.address + offset, length);
  }

  syncForCpu(offset: number, length: number): void {
    this.#checkRange(offset, length);
    if (this.direction === DmaDirection.ToDevice) return;
    this.#copy(this.address + offset, this.#twin.address + offset, length);
  }

  #checkRange(offset: number, length: number): void {
    if (offset >= 0 && length >= 0 && offset + length <= this.length) return;
    throw new RangeError(`bytes ${offset}..${offset + length} are outside a region of ${this.length} bytes`);
  }
}

function bouncedPath(inner: DmaPath): DmaPath {
  if (inner === 'linear') return 'bounced+linear';
  if (inner === 'translated') return 'bounced+translated';
  return 'bounced';
}
