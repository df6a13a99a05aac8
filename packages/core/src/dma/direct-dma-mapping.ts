import { DmaError } from '../errors/coded-error.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';
import { deviceAddressOffset, writeDeviceAddress } from './device-address.ts';
import type { AddressStep, DmaMapping, DmaPath } from './dma-mapping.ts';
import type { DmaDirection } from './dma-region.ts';
import { ZeroCopyDmaMapping, type CoherentMemory } from './zero-copy-dma-mapping.ts';

/** How to open a {@link DirectDmaMapping}. */
export interface DirectDmaMappingOptions {
  readonly path: Extract<DmaPath, 'physical' | 'identity' | 'linear'>;
  /** How many mappings can live at once: at least the number of segments the queue can hold. */
  readonly capacity: number;
  /** Added to every address; 0 unless the path is `linear`. */
  readonly offset?: bigint;
  /** First guest-physical address the device cannot reach. The end of memory unless given. */
  readonly limit?: number;
  /** Width of a device address; 64 unless given. */
  readonly addressBits?: number;
  /** Where coherent memory comes from; guest memory unless given. An encrypted guest allocates shared pages. */
  readonly coherent?: CoherentMemory;
  /** Longest piece that `coherent` gives; without a limit unless given. */
  readonly maxRegionSize?: number | undefined;
  /** Reads the platform's table, where there is one; the device address minus `offset` unless given. */
  readonly resolve?: NonNullable<DmaMapping['resolve']>;
  /** The steps through that table; one step that subtracts `offset` unless given. */
  readonly walk?: NonNullable<DmaMapping['walk']>;
}

/**
 * The device address is the guest-physical address plus a constant: no table is programmed per buffer. Serves the paths
 * physical (constant 0, the platform is not consulted), identity (constant 0, verified) and linear (a DDW window's
 * offset).
 */
export class DirectDmaMapping extends ZeroCopyDmaMapping {
  readonly #limit: number;
  readonly #offsetLow: number;
  readonly #offsetHigh: number;
  readonly #readTable: DmaMapping['resolve'];
  readonly #walkTable: DmaMapping['walk'];

  constructor(memory: GuestMemory, options: DirectDmaMappingOptions) {
    const { path, capacity, offset = 0n, addressBits = 64, coherent = memory } = options;
    const limit = Math.min(options.limit ?? memory.size, memory.size);
    const limits = {
      addressBits,
      maxMappingSize: Infinity,
      alignment: 1,
      boundary: Infinity,
      maxMappings: capacity,
      maxRegionSize: options.maxRegionSize,
    };
    super({ path, limits, capacity, reach: limit, coherentUnit: 1, coherent });
    this.#limit = limit;
    this.#offsetLow = Number(offset & 0xffff_ffffn);
    this.#offsetHigh = Number(offset >> 32n);
    this.#readTable = options.resolve;
    this.#walkTable = options.walk;
  }

  resolve(low: number, high: number): number {
    if (this.#readTable !== undefined) return this.#readTable(low, high);
    const address = deviceAddressOffset(low, high, this.#offsetLow, this.#offsetHigh);
    return address >= 0 && address < this.#limit ? address : -1;
  }

  walk(low: number, high: number): readonly AddressStep[] {
    if (this.#walkTable !== undefined) return this.#walkTable(low, high);
    const address = this.resolve(low, high);
    const isOffset = this.#offsetLow !== 0 || this.#offsetHigh !== 0;
    const base = (BigInt(this.#offsetHigh) << 32n) + BigInt(this.#offsetLow);
    const rule = isOffset
      ? `a device address is the physical address plus 0x${base.toString(16)}`
      : 'nothing translates';
    const leads =
      address < 0
        ? `beyond the last address, 0x${(this.#limit - 1).toString(16)}`
        : `physical 0x${address.toString(16)}`;
    return [{ table: 'no table', says: `${rule}: ${leads}` }];
  }

  protected mapPages(address: number): number {
    return address;
  }

  protected unmapPages(_place: number, _address: number, _length: number, free: () => void): boolean {
    free();
    return true;
  }

  protected writePlace(address: number, _address: number, words: Uint32Array, at: number): void {
    writeDeviceAddress(address, this.#offsetLow, this.#offsetHigh, words, at);
  }

  /** Refuses coherent memory that the allocator found beyond the limit; `premap` refuses such a range before. */
  protected override mapRegion(address: number, length: number, _direction: DmaDirection): number {
    if (address + length > this.#limit) throw this.regionError(address, length);
    return address;
  }

  protected regionError(_reason: number, length: number): DmaError {
    const limit = this.#limit.toString(16);
    return new DmaError('ERR_DMA_EXHAUSTED', `no memory below 0x${limit} is left for ${length} bytes`);
  }
}
