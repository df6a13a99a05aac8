import { DmaError } from '../../errors/coded-error.ts';
import type { GuestMemory } from '../../memory/guest-memory.ts';
import { DMA_NO_SPACE, DMA_TOO_LARGE, DMA_UNREACHABLE } from '../dma-mapping.ts';
import type { AddressStep, DmaMapping, DmaPath, DmaStatistics } from '../dma-mapping.ts';
import { checkSyncRange, DmaDirection, regionReleasedError, type DmaRegion } from '../dma-region.ts';
import { ForwardingDmaMapping } from '../forwarding-dma-mapping.ts';
import { MappingTable } from '../mapping-table.ts';
import { BOUNCE_SLOT_SIZE } from './bounce-pool.ts';
import type { BouncePools } from './bounce-pools.ts';

/**
 * Copies buffers through shared slots: the device never sees the buffer itself. Bouncing is a step in front of the
 * mapping that gives the slots their device addresses (`inner`), so it composes with identity, linear and translated
 * mapping.
 *
 * `map` fills a slot for every direction: otherwise the bytes of the slot's last buffer would be copied into this
 * buffer when the device writes less than it says (CVE-2022-0854). `unmap` copies back only the bytes that the device
 * wrote.
 */
export class BouncedDmaMapping extends ForwardingDmaMapping {
  readonly #memory: GuestMemory;
  readonly #pools: BouncePools;
  readonly #area: number;
  readonly #table: MappingTable;
  readonly #regions = new Set<BouncedRegion>();
  #maps = 0;
  #unmaps = 0;
  #bytesBounced = 0;

  /**
   * `inner` allocates shared memory and gives it device addresses; this mapping disposes it. `area` is the area of a
   * pool that is searched first: each queue has its own, so that queues rarely compete.
   */
  constructor(memory: GuestMemory, pools: BouncePools, inner: DmaMapping, capacity: number, area = 0) {
    super(inner, {
      path: bouncedPath(inner.path),
      // A buffer may lie where the device does not reach: the device gets its copy.
      limits: {
        ...inner.limits,
        maxMappingSize: pools.maxMappingSize,
        maxMappings: capacity,
        reach: undefined,
        minAlignMask: pools.minAlignMask,
      },
      walk: (low, high) => [...(inner.walk?.(low, high) ?? []), ...this.#copyBehind(low, high)],
    });
    this.#memory = memory;
    this.#pools = pools;
    this.#area = area;
    this.#table = new MappingTable(capacity);
  }

  override get statistics(): DmaStatistics {
    // The inner mapping counts each region when it allocates the region's shared copy.
    const inner = super.statistics;
    return {
      maps: this.#maps + inner.maps,
      unmaps: this.#unmaps + inner.unmaps,
      bytesBounced: this.#bytesBounced,
      live: this.#table.live + inner.live,
      leaked: inner.leaked ?? 0,
    };
  }

  override map(address: number, length: number, direction: DmaDirection, words: Uint32Array, at: number): number {
    if (!this.#memory.contains(address, length)) return DMA_UNREACHABLE;
    if (length > this.limits.maxMappingSize) return DMA_TOO_LARGE;
    const copy = this.#pools.take(address, length, this.#area);
    if (copy < 0) return DMA_NO_SPACE;
    const id = this.#table.open(address, length, direction, copy);
    if (id < 0) {
      this.#pools.give(copy, length);
      return DMA_NO_SPACE;
    }
    this.#maps++;
    this.#copy(copy, address, length);
    this.#pools.writeDeviceAddress(copy, words, at);
    return id;
  }

  override unmap(id: number, written: number): void {
    const slot = this.#table.slotOf(id);
    const length = this.#table.length[slot]!;
    const copy = this.#table.tag[slot]!;
    const brought = written < length ? written : length;
    if (this.#table.direction[slot] !== DmaDirection.ToDevice && brought > 0) {
      this.#copy(this.#table.address[slot]!, copy, brought);
    }
    this.#pools.give(copy, length);
    this.#table.close(slot);
    this.#unmaps++;
  }

  override syncForCpu(id: number, offset: number, length: number): void {
    const slot = this.#table.checkedSlot(id, offset, length);
    if (this.#table.direction[slot] === DmaDirection.ToDevice) return;
    this.#copy(this.#table.address[slot]! + offset, this.#table.tag[slot]! + offset, length);
  }

  override syncForDevice(id: number, offset: number, length: number): void {
    const slot = this.#table.checkedSlot(id, offset, length);
    if (this.#table.direction[slot] === DmaDirection.FromDevice) return;
    this.#copy(this.#table.tag[slot]! + offset, this.#table.address[slot]! + offset, length);
  }

  /**
   * Copies the region to shared memory of its own, not to slots: it lives long, and it is contiguous beyond 256 KiB.
   */
  override premap(address: number, length: number, direction: DmaDirection): DmaRegion {
    if (!this.#memory.contains(address, length) || !(length > 0)) {
      throw new DmaError(
        'ERR_DMA_RANGE',
        `cannot map ${length} bytes at 0x${address.toString(16)}: outside guest memory`,
      );
    }
    // The copy begins as far behind a multiple as the original, where the device needs the low bits to be the same.
    const unit = this.#pools.minAlignMask + 1;
    const start = address % unit;
    const shared = super.allocateCoherent(start + length, Math.max(BOUNCE_SLOT_SIZE, unit));
    const region = new BouncedRegion(
      address,
      length,
      direction,
      shared,
      start,
      (to, from, bytes) => this.#copy(to, from, bytes),
      () => {
        if (!this.#regions.delete(region)) throw regionReleasedError();
        shared.release();
      },
    );
    this.#copy(region.copyAddress, address, length);
    this.#regions.add(region);
    return region;
  }

  override dispose(): void {
    for (const id of this.#table.liveIds()) this.unmap(id, 0);
    for (const region of this.#regions) region.release();
    super.dispose();
  }

  /** Which copy is at a device address, as a step behind those of the mapping of the shared memory. Cold. */
  #copyBehind(low: number, high: number): AddressStep[] {
    const address = this.resolve?.(low, high) ?? -1;
    if (address < 0) return [];
    const slotAt = this.#pools.slotAt(address);
    for (const id of this.#table.liveIds()) {
      const slot = this.#table.slotOf(id);
      const offset = address - this.#table.tag[slot]!;
      if (offset >= 0 && offset < this.#table.length[slot]!)
        return copyStep(this.#table.address[slot]! + offset, `slot ${slotAt} of the pool`);
    }
    for (const region of this.#regions) {
      const offset = address - region.copyAddress;
      if (offset >= 0 && offset < region.length)
        return copyStep(region.address + offset, 'a shared copy that lives long');
    }
    return slotAt >= 0 ? [{ table: 'bounce buffers', says: 'a slot of the pool that is free' }] : [];
  }

  #copy(to: number, from: number, length: number): void {
    this.#memory.u8.copyWithin(to, from, from + length);
    this.#bytesBounced += length;
  }
}

/**
 * A region and its copy in shared memory, from byte `start` of that on. A sync copies in the direction of the mapping
 * only.
 */
class BouncedRegion implements DmaRegion {
  readonly address: number;
  readonly length: number;
  readonly direction: DmaDirection;
  readonly release: () => void;
  readonly #shared: DmaRegion;
  readonly #start: number;
  readonly #copy: (to: number, from: number, length: number) => void;

  constructor(
    address: number,
    length: number,
    direction: DmaDirection,
    shared: DmaRegion,
    start: number,
    copy: (to: number, from: number, length: number) => void,
    release: () => void,
  ) {
    this.address = address;
    this.length = length;
    this.direction = direction;
    this.release = release;
    this.#shared = shared;
    this.#start = start;
    this.#copy = copy;
  }

  /** Guest-physical address of the copy. */
  get copyAddress(): number {
    return this.#shared.address + this.#start;
  }

  writeDeviceAddress(offset: number, words: Uint32Array, at: number): void {
    this.#shared.writeDeviceAddress(this.#start + offset, words, at);
  }

  syncForDevice(offset: number, length: number): void {
    checkSyncRange(offset, length, this.length);
    if (this.direction === DmaDirection.FromDevice) return;
    this.#copy(this.copyAddress + offset, this.address + offset, length);
  }

  syncForCpu(offset: number, length: number): void {
    checkSyncRange(offset, length, this.length);
    if (this.direction === DmaDirection.ToDevice) return;
    this.#copy(this.address + offset, this.copyAddress + offset, length);
  }
}

function bouncedPath(inner: DmaPath): DmaPath {
  if (inner === 'linear') return 'bounced+linear';
  if (inner === 'translated') return 'bounced+translated';
  return 'bounced';
}

function copyStep(of: number, what: string): AddressStep[] {
  return [{ table: 'bounce buffers', says: `${what} holds the copy of physical 0x${of.toString(16)}` }];
}
