import type { ConformBench, GoodRequest, RequestModel } from '@virtio-platform/core';
import { SECTOR_SIZE, VIRTIO_BLK_T_IN } from '../layout.ts';
import { diskFacts } from './block-disk-facts.ts';
import { blockRequest, flush, patternOf, readOf, writeOf } from './block-requests.ts';

/** Blocks that a run reads and writes, behind those that the requests of other cases read. */
const BLOCKS = 64;
const FIRST = 64;
/** Blocks of the longest request. */
const LONGEST = 4;
/** The content of a block that nothing was written to, or of which it is not known what is there. */
const UNKNOWN = -1;

/** A model of a disk: what each of some blocks holds. A disk that has no more blocks is only read. */
class BlockModel implements RequestModel {
  readonly #unit: number;
  readonly #first: number;
  readonly #blocks: number;
  readonly #isReadOnly: boolean;
  /** By block: the seed of what was written last. */
  readonly #content: Int32Array;
  /** By block: requests in flight that read, and that write it. */
  readonly #readers: Uint16Array;
  readonly #writers: Uint16Array;
  #writes = 0;

  constructor(bench: ConformBench) {
    const { sectors, unit, isReadOnly } = diskFacts(bench);
    const blocks = Math.floor(sectors / unit) - FIRST;
    this.#unit = unit;
    this.#first = blocks > 0 ? FIRST : 0;
    this.#isReadOnly = isReadOnly || blocks <= 0;
    this.#blocks = Math.max(1, Math.min(BLOCKS, blocks));
    this.#content = new Int32Array(this.#blocks).fill(UNKNOWN);
    this.#readers = new Uint16Array(this.#blocks);
    this.#writers = new Uint16Array(this.#blocks);
  }

  request(n: number): GoodRequest {
    const first = n % this.#blocks;
    const count = Math.min(1 + ((n >>> 6) % LONGEST), this.#blocks - first);
    const kind = (n >>> 8) % 8;
    if (kind === 7) return flush();
    const isWrite = kind < 4 && !this.#isReadOnly;
    if (this.#areBusy(this.#writers, first, count)) return flush();
    if (!isWrite) return this.#read(first, count);
    return this.#areBusy(this.#readers, first, count) ? this.#read(first, count) : this.#write(first, count);
  }

  reset(): void {
    for (const [block, writers] of this.#writers.entries()) if (writers > 0) this.#content[block] = UNKNOWN;
    this.#writers.fill(0);
    this.#readers.fill(0);
  }

  #read(first: number, count: number): GoodRequest {
    const seeds = this.#content.slice(first, first + count);
    const sector = (this.#first + first) * this.#unit;
    const room = count * this.#unit * SECTOR_SIZE;
    const request = seeds.includes(UNKNOWN)
      ? blockRequest({ type: VIRTIO_BLK_T_IN, sector, room })
      : readOf(sector, new Uint8Array(Buffer.concat(Array.from(seeds, (seed, i) => this.#pattern(first + i, seed)))));
    return this.#watched(request, this.#readers, first, count, () => {});
  }

  #write(first: number, count: number): GoodRequest {
    const seed = ++this.#writes;
    const data = Array.from({ length: count }, (_, i) => this.#pattern(first + i, seed));
    const request = writeOf((this.#first + first) * this.#unit, new Uint8Array(Buffer.concat(data)));
    return this.#watched(request, this.#writers, first, count, () => this.#content.fill(seed, first, first + count));
  }

  /** Counts a request as in flight until it is checked. */
  #watched(request: GoodRequest, users: Uint16Array, first: number, count: number, done: () => void): GoodRequest {
    for (let block = first; block < first + count; block++) users[block]!++;
    const check: GoodRequest['check'] = (written, length) => {
      for (let block = first; block < first + count; block++) users[block]!--;
      done();
      return request.check(written, length);
    };
    return { ...request, check };
  }

  #areBusy(users: Uint16Array, first: number, count: number): boolean {
    return users.subarray(first, first + count).some((number) => number > 0);
  }

  #pattern(block: number, seed: number): Uint8Array {
    return patternOf(block * this.#unit, seed, this.#unit);
  }
}

/** Opens the model of a disk. */
export function openBlockModel(bench: ConformBench): RequestModel {
  return new BlockModel(bench);
}
