import type { Random } from '@virtio-platform/device-kit';
import { UNDEFINED_ROUND, UNKNOWN_ROUND, type BlockRun } from './block-request.ts';

/** Draws after which a request that finds no block for it waits, or reads one back. */
const MOST_DRAWS = 8;
/** Blocks on either side of a change that are read back with it: a device may have changed too much. */
const MARGIN = 1;

/**
 * What a workload knows of the blocks of a disk: what was written last to each, and of one that was only read, a
 * checksum of what it had. No block has a change and another request in flight at once, since the device may serve them
 * in any order, and none is changed again before it was read back with its neighbours: each change is checked.
 */
export class BlockModel {
  /** By block: the round that wrote it. */
  readonly rounds: Uint32Array;
  /** By block: the checksum of what a read gave, or -1. */
  readonly checksums: Float64Array;
  /** By block: reads in flight, or -1 for a change. */
  readonly #busy: Int32Array;
  /** The blocks to read back, first in first out, and by block whether it is one of them. */
  readonly #queue: Uint32Array;
  readonly #isQueued: Uint8Array;
  #first = 0;
  #queued = 0;
  /** Blocks that changes in flight will add, at most. */
  #promised = 0;
  #within: number;

  constructor(blocks: number) {
    this.rounds = new Uint32Array(blocks).fill(UNKNOWN_ROUND);
    this.checksums = new Float64Array(blocks).fill(-1);
    this.#busy = new Int32Array(blocks);
    this.#queue = new Uint32Array(blocks);
    this.#isQueued = new Uint8Array(blocks);
    this.#within = blocks;
  }

  /** Reads that it takes at most to read back all changes so far. */
  get owed(): number {
    return this.#queued + this.#promised;
  }

  /** The disk has so many blocks of the model now. What it gave up and has again is not known. */
  resize(within: number): void {
    const most = Math.min(within, this.rounds.length);
    if (most < this.#within) {
      this.rounds.fill(UNDEFINED_ROUND, most, this.#within);
      this.checksums.fill(-1, most, this.#within);
    }
    this.#within = most;
  }

  /** A block that may be read now, or -1. */
  readable(random: Random): number {
    for (let draws = 0; draws < MOST_DRAWS; draws++) {
      const at = random.below(this.#within);
      if (this.#busy[at]! >= 0) return at;
    }
    return -1;
  }

  /** A block that may be changed now, or -1. With `isKnown`, one of which the content is known. */
  changeable(random: Random, isKnown: boolean): number {
    for (let draws = 0; draws < MOST_DRAWS; draws++) {
      const at = random.below(this.#within);
      if (this.#mayChange(at, isKnown)) return at;
    }
    return -1;
  }

  /** How many blocks from a changeable one on may be changed too, up to `most` in all. */
  runFrom(at: number, most: number, isKnown: boolean): number {
    const end = Math.min(at + most, this.#within);
    let next = at + 1;
    while (next < end && this.#mayChange(next, isKnown)) next++;
    return next - at;
  }

  /** The block whose turn it is to be read back, or -1 where none may be read now. */
  nextOwed(): number {
    for (let tries = Math.min(this.#queued, MOST_DRAWS); tries > 0; tries--) {
      const at = this.#queue[this.#first]!;
      if (at < this.#within && this.#busy[at]! >= 0) return at;
      this.#shift();
      if (at < this.#within) this.#push(at);
    }
    return -1;
  }

  /** A read of a block is in flight. */
  beginRead(at: number): void {
    this.#busy[at]!++;
    if (this.#queued > 0 && this.#queue[this.#first] === at) this.#shift();
  }

  endRead(at: number): void {
    this.#busy[at]!--;
  }

  /** A change of these blocks is in flight. */
  beginChange({ block, count }: BlockRun): void {
    this.#busy.fill(-1, block, block + count);
    this.#promised += count + 2 * MARGIN;
  }

  /** The change was not made after all. */
  cancelChange({ block, count }: BlockRun): void {
    this.#busy.fill(0, block, block + count);
    this.#promised -= count + 2 * MARGIN;
  }

  /** A change ended; `round` is what these blocks have now, `undefined` where they have what they had. */
  endChange(run: BlockRun, round: number | undefined): void {
    const { block, count } = run;
    this.cancelChange(run);
    if (round !== undefined) {
      this.rounds.fill(round, block, block + count);
      this.checksums.fill(-1, block, block + count);
    }
    const end = Math.min(block + count + MARGIN, this.#within);
    for (let at = Math.max(0, block - MARGIN); at < end; at++) this.#push(at);
  }

  /** Reads that a change of these blocks owes, at most. */
  costOf(count: number): number {
    return count + 2 * MARGIN;
  }

  #mayChange(at: number, isKnown: boolean): boolean {
    return this.#busy[at] === 0 && this.#isQueued[at] === 0 && (!isKnown || this.#isKnown(at));
  }

  #isKnown(at: number): boolean {
    const round = this.rounds[at]!;
    return round === UNKNOWN_ROUND ? this.checksums[at]! >= 0 : round !== UNDEFINED_ROUND;
  }

  #push(at: number): void {
    if (this.#isQueued[at] === 1) return;
    this.#isQueued[at] = 1;
    this.#queue[(this.#first + this.#queued++) % this.#queue.length] = at;
  }

  #shift(): void {
    this.#isQueued[this.#queue[this.#first]!] = 0;
    this.#first = (this.#first + 1) % this.#queue.length;
    this.#queued--;
  }
}
