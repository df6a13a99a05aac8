/**
 * What the requests of a block driver ask for, and how much of each was added to the queue, by slot. Lengths and what
 * was added are bytes, or ranges where the request has ranges. Hot: no allocation per request.
 */
export class RequestTable {
  readonly type: Uint32Array;
  readonly sector: Float64Array;
  readonly length: Uint32Array;
  readonly added: Uint32Array;
  /** Sectors that were added of the range behind those that were added. */
  readonly addedSectors: Float64Array;
  /** Pieces that the device has. */
  readonly open: Uint32Array;
  /** The flags of all ranges. */
  readonly flags: Uint32Array;
  /** Sector and sectors of each range. */
  readonly #ranges: Float64Array;
  readonly #mostRanges: number;

  constructor(depth: number, mostRanges: number) {
    this.type = new Uint32Array(depth);
    this.sector = new Float64Array(depth);
    this.length = new Uint32Array(depth);
    this.added = new Uint32Array(depth);
    this.addedSectors = new Float64Array(depth);
    this.open = new Uint32Array(depth);
    this.flags = new Uint32Array(depth);
    this.#ranges = new Float64Array(depth * 2 * mostRanges);
    this.#mostRanges = mostRanges;
  }

  /** A request of which nothing was added yet. Hot. */
  begin(slot: number, type: number, sector: number, length: number): void {
    this.type[slot] = type;
    this.sector[slot] = sector;
    this.length[slot] = length;
    this.added[slot] = 0;
    this.addedSectors[slot] = 0;
    this.open[slot] = 0;
  }

  /** Sets range `index` of a slot. Hot. */
  setRange(slot: number, index: number, sector: number, sectors: number): void {
    const at = 2 * (slot * this.#mostRanges + index);
    this.#ranges[at] = sector;
    this.#ranges[at + 1] = sectors;
  }

  /** Where range `index` of a slot starts. Hot. */
  rangeSector(slot: number, index: number): number {
    return this.#ranges[2 * (slot * this.#mostRanges + index)]!;
  }

  /** How many sectors range `index` of a slot has. Hot. */
  rangeSectors(slot: number, index: number): number {
    return this.#ranges[2 * (slot * this.#mostRanges + index) + 1]!;
  }
}
