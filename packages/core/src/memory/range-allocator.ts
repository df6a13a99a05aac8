import { DmaError } from '../errors/coded-error.ts';

/** A run of free addresses. */
export interface FreeRun {
  address: number;
  length: number;
}

/** An allocated range: its first address, and its length in bytes. */
export interface TakenRange {
  readonly address: number;
  readonly length: number;
}

/**
 * First-fit allocation of address ranges: guest memory, I/O virtual addresses. Not for the hot path.
 * Free runs are kept in address order and merged, so that no memory is lost to fragmentation of the records.
 */
export class RangeAllocator {
  readonly #free: FreeRun[];
  readonly #taken = new Map<number, number>();
  #untouched: readonly FreeRun[];
  readonly #what: string;
  readonly #more: string;

  /**
   * Hands out `[base, base + length)` without the hole. In errors `what` names the space, and `more` says how to have
   * more of it.
   */
  constructor(
    what: string,
    base: number,
    length: number,
    hole?: TakenRange,
    more: string = 'enlarge it in the profile',
  ) {
    this.#what = what;
    this.#more = more;
    const run = { address: base, length };
    this.#free = (hole === undefined ? [run] : without(run, hole)).filter((each) => each.length > 0);
    this.#untouched = this.#free.map((run) => ({ ...run }));
  }

  /** Bytes that are allocated. */
  get taken(): number {
    let sum = 0;
    for (const length of this.#taken.values()) sum += length;
    return sum;
  }

  /** Bytes of the longest free run. */
  get largestFree(): number {
    return this.#free.reduce((most, run) => Math.max(most, run.length), 0);
  }

  /** The runs that were never allocated, in address order. */
  get untouched(): readonly Readonly<FreeRun>[] {
    return this.#untouched;
  }

  /**
   * Takes `length` bytes at a multiple of `alignment` in `[from, below)`, or returns -1 when no run there is large
   * enough.
   */
  tryAllocate(length: number, alignment: number, from = 0, below: number = Infinity): number {
    if (!(length > 0) || !Number.isInteger(length)) throw new RangeError(`cannot allocate ${length} bytes`);
    if (!(alignment > 0) || !Number.isInteger(alignment)) throw new RangeError(`cannot align to ${alignment} bytes`);
    for (let i = 0; i < this.#free.length; i++) {
      const run = this.#free[i]!;
      const address = Math.ceil(Math.max(run.address, from) / alignment) * alignment;
      const before = address - run.address;
      if (before + length > run.length || address + length > below) continue;
      const after = run.length - before - length;
      const pieces: FreeRun[] = [];
      if (before > 0) pieces.push({ address: run.address, length: before });
      if (after > 0) pieces.push({ address: address + length, length: after });
      this.#free.splice(i, 1, ...pieces);
      this.#taken.set(address, length);
      this.#touch(address, address + length);
      return address;
    }
    return -1;
  }

  /**
   * Takes `length` bytes at a multiple of `alignment` in `[from, below)`. Throws {@link DmaError} `ERR_DMA_EXHAUSTED`.
   */
  allocate(length: number, alignment: number, from = 0, below: number = Infinity): number {
    const address = this.tryAllocate(length, alignment, from, below);
    if (address >= 0) return address;
    throw this.#noRoom(length, from, below);
  }

  /** The allocated range that contains `address`. Cold. */
  rangeAt(address: number): TakenRange | undefined {
    for (const [start, length] of this.#taken) {
      if (address >= start && address < start + length) return { address: start, length };
    }
    return undefined;
  }

  /** Frees a range that `allocate` returned. Throws `RangeError` for any other address. */
  free(address: number): void {
    const length = this.#taken.get(address);
    if (length === undefined) throw new RangeError(`${this.#what}: 0x${address.toString(16)} was not allocated`);
    this.#taken.delete(address);
    let at = this.#free.findIndex((run) => run.address > address);
    if (at < 0) at = this.#free.length;
    this.#free.splice(at, 0, { address, length });
    this.#mergeWithNext(at);
    if (at > 0) this.#mergeWithNext(at - 1);
  }

  #noRoom(length: number, from: number, below: number): DmaError {
    const isLimited = below < Infinity;
    const free = this.#free.map((run) => Math.min(run.address + run.length, below) - Math.max(run.address, from));
    const where = isLimited ? ` below 0x${below.toString(16)}` : '';
    const largest = `the largest free run${isLimited ? ' there' : ''} is ${Math.max(0, ...free)} bytes`;
    const more = isLimited
      ? 'widen what keeps the device below (device.dmaBits, or the window or the reserved regions of the platform)'
      : this.#more;
    return new DmaError('ERR_DMA_EXHAUSTED', `${this.#what}: no room for ${length} bytes${where}; ${largest}`, {
      hint: `${more}, or ask for less (a smaller queue, depth or pool)`,
    });
  }

  #touch(start: number, end: number): void {
    const range = { address: start, length: end - start };
    this.#untouched = this.#untouched.flatMap((run) => without(run, range));
  }

  #mergeWithNext(at: number): void {
    const run = this.#free[at]!;
    const next = this.#free[at + 1];
    if (next === undefined || run.address + run.length !== next.address) return;
    run.length += next.length;
    this.#free.splice(at + 1, 1);
  }
}

/** The parts of a run that lie outside of a range. */
function without(run: FreeRun, { address: start, length: size }: TakenRange): FreeRun[] {
  const end = start + size;
  const runEnd = run.address + run.length;
  if (runEnd <= start || run.address >= end) return [run];
  const before = { address: run.address, length: start - run.address };
  const after = { address: end, length: runEnd - end };
  return [before, after].filter(({ length }) => length > 0);
}
