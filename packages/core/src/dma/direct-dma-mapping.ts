import { DmaError } from '../errors/coded-error.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';
import type { DmaDirection } from './dma-direction.ts';
import { DmaDirection as Direction } from './dma-direction.ts';
import { DMA_NO_SPACE, DMA_UNREACHABLE, type DmaLimits, type DmaMapping, type DmaStatistics } from './dma-mapping.ts';
import type { DmaPath } from './dma-path.ts';
import type { DmaRegion } from './dma-region.ts';
import { MappingTable } from './mapping-table.ts';

const WORD = 0x1_0000_0000;

export interface DirectDmaMappingOptions {
  readonly path: Extract<DmaPath, 'physical' | 'identity' | 'linear'>;
  /** How many mappings can live at once: at least the number of segments the queue can hold. */
  readonly capacity: number;
  /** Added to every address; 0 unless the path is `linear`. */
  readonly offset?: bigint;
  /** First guest-physical address the device cannot reach. All of memory unless given. */
  readonly limit?: number;
  readonly barrier?: DmaMapping['barrier'];
  /** Width of a device address; 64 unless given. */
  readonly addressBits?: number;
  /** Where coherent memory comes from; guest memory unless given. An encrypted guest shares what it allocates with the device. */
  readonly coherent?: Pick<GuestMemory, 'allocate' | 'free'>;
  /** Looks where a device address leads, where there is a table to look in; it is that constant less unless given. */
  readonly resolve?: NonNullable<DmaMapping['resolve']>;
}

/**
 * The device address is the guest-physical address plus a constant: no table is programmed per buffer. Serves the paths
 * physical (constant 0, the platform is not consulted), identity (constant 0, verified) and linear (a DDW window's offset).
 */
export class DirectDmaMapping implements DmaMapping {
  readonly path: DmaPath;
  readonly limits: DmaLimits;
  readonly barrier: DmaMapping['barrier'];
  readonly #coherent: Pick<GuestMemory, 'allocate' | 'free'>;
  readonly #limit: number;
  readonly #offsetLow: number;
  readonly #offsetHigh: number;
  readonly #lookUp: DmaMapping['resolve'];
  readonly #table: MappingTable;
  readonly #regions = new Set<DirectRegion>();
  #maps = 0;
  #unmaps = 0;

  constructor(memory: GuestMemory, options: DirectDmaMappingOptions) {
    const offset = options.offset ?? 0n;
    this.#coherent = options.coherent ?? memory;
    this.#limit = Math.min(options.limit ?? memory.size, memory.size);
    this.#offsetLow = Number(offset & 0xffff_ffffn);
    this.#offsetHigh = Number(offset >> 32n);
    this.#lookUp = options.resolve;
    this.#table = new MappingTable(options.capacity);
    this.path = options.path;
    this.barrier = options.barrier;
    this.limits = {
      addressBits: options.addressBits ?? 64,
      maxMappingSize: Infinity,
      alignment: 1,
      boundary: Infinity,
      maxMappings: options.capacity,
    };
  }

  get statistics(): DmaStatistics {
    const live = this.#table.live + this.#regions.size;
    return { maps: this.#maps, unmaps: this.#unmaps, bytesBounced: 0, live };
  }

  map(address: number, length: number, direction: DmaDirection, words: Uint32Array, at: number): number {
    if (!(address >= 0) || address + length > this.#limit) return DMA_UNREACHABLE;
    const id = this.#table.open(address, length, direction);
    if (id < 0) return DMA_NO_SPACE;
    this.#maps++;
    writeOffsetAddress(address, this.#offsetLow, this.#offsetHigh, words, at);
    return id;
  }

  unmap(id: number, _written: number): void {
    this.#table.close(this.#table.slotOf(id));
    this.#unmaps++;
  }

  syncForCpu(id: number, offset: number, length: number): void {
    this.#table.checkedSlot(id, offset, length);
  }

  syncForDevice(id: number, offset: number, length: number): void {
    this.#table.checkedSlot(id, offset, length);
  }

  premap(address: number, length: number, direction: DmaDirection): DmaRegion {
    if (!(address >= 0) || !(length > 0) || address + length > this.#limit) {
      throw new DmaError(
        'ERR_DMA_RANGE',
        `cannot map ${length} bytes at 0x${address.toString(16)}: outside what the device reaches`,
      );
    }
    return this.#open(address, length, direction, () => {});
  }

  allocateCoherent(length: number, alignment: number): DmaRegion {
    const address = this.#coherent.allocate(length, alignment);
    if (address + length > this.#limit) {
      this.#coherent.free(address);
      throw new DmaError(
        'ERR_DMA_EXHAUSTED',
        `no memory below 0x${this.#limit.toString(16)} is left for ${length} bytes`,
      );
    }
    return this.#open(address, length, Direction.Bidirectional, () => this.#coherent.free(address));
  }

  resolve(low: number, high: number): number {
    if (this.#lookUp !== undefined) return this.#lookUp(low, high);
    const address = (high - this.#offsetHigh) * WORD + (low - this.#offsetLow);
    return address >= 0 && address < this.#limit ? address : -1;
  }

  dispose(): void {
    for (const region of this.#regions) region.release();
    for (const id of this.#table.liveIds()) this.unmap(id, 0);
  }

  #open(address: number, length: number, direction: DmaDirection, give: () => void): DmaRegion {
    const region = new DirectRegion(address, length, direction, this.#offsetLow, this.#offsetHigh, () => {
      if (!this.#regions.delete(region)) throw new RangeError('this DMA region was already released');
      this.#unmaps++;
      give();
    });
    this.#regions.add(region);
    this.#maps++;
    return region;
  }
}

/** A region whose device addresses are its guest addresses plus a constant. */
class DirectRegion implements DmaRegion {
  readonly address: number;
  readonly length: number;
  readonly direction: DmaDirection;
  readonly release: () => void;
  readonly #offsetLow: number;
  readonly #offsetHigh: number;

  constructor(
    address: number,
    length: number,
    direction: DmaDirection,
    offsetLow: number,
    offsetHigh: number,
    release: () => void,
  ) {
    this.address = address;
    this.length = length;
    this.direction = direction;
    this.#offsetLow = offsetLow;
    this.#offsetHigh = offsetHigh;
    this.release = release;
  }

  writeDeviceAddress(offset: number, words: Uint32Array, at: number): void {
    writeOffsetAddress(this.address + offset, this.#offsetLow, this.#offsetHigh, words, at);
  }

  syncForDevice(_offset: number, _length: number): void {}

  syncForCpu(_offset: number, _length: number): void {}
}

/** Writes `address + offset` as two words, carrying from the low one into the high one. */
function writeOffsetAddress(
  address: number,
  offsetLow: number,
  offsetHigh: number,
  words: Uint32Array,
  at: number,
): void {
  const low = (address % WORD) + offsetLow;
  words[at] = low;
  words[at + 1] = Math.floor(address / WORD) + offsetHigh + (low >= WORD ? 1 : 0);
}
