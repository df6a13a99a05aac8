import type { FreeRun, GuestMemory } from '@virtio-platform/core/memory';

/** A change in memory that was never allocated. */
export interface UnusedMemoryChange {
  /** The first byte that changed, and the number of bytes up to the last one. */
  readonly address: number;
  readonly length: number;
  /** The number of bytes among those that changed. */
  readonly changed: number;
}

/**
 * Bytes at each end of a run that have the pattern. A large guest is sparse, and its pages would all be taken by a
 * pattern; a device that goes wrong by an offset or a length lands close to what is allocated.
 */
const WATCHED_END = 2 ** 26;
/** Bytes that are compared at once. */
const CHUNK = 2 ** 16;

/**
 * A pattern in the guest memory that was never allocated, so that writes to it are found: in all of a run of up to 128
 * MiB, and at both ends of a longer one. Memory that is allocated later is left out from then on, also once it is free
 * again.
 */
export class UnusedMemory {
  readonly #memory: GuestMemory;
  readonly #word: number;
  readonly #bytes: Uint8Array;
  readonly #watched: readonly Readonly<FreeRun>[];

  /**
   * Fills the memory that was never allocated with a word of 32 bits made of `seed`. No byte of it is a small number, a
   * character, 0xff or 0xa5, so that a write of those is found to the byte.
   */
  constructor(memory: GuestMemory, seed: number) {
    this.#memory = memory;
    const word = ((seed | 0x8080_8080) & ~0x2020_2020) >>> 0;
    this.#word = word;
    this.#bytes = new Uint8Array(Uint32Array.of(word).buffer);
    this.#watched = memory.untouched.flatMap((run) => endsOf(run));
    for (const { address, length } of this.#watched) {
      const [first, last] = wordsIn(address, length);
      memory.u32.fill(word, first, last);
      for (const at of edgesOf(address, length)) memory.u8[at] = this.#bytes[at & 3]!;
    }
  }

  /** Finds what changed, or returns `undefined`. It reads all of that memory: for the end of a run. */
  compare(): UnusedMemoryChange | undefined {
    const { u8, u32 } = this.#memory;
    const pattern = new Uint8Array(new Uint32Array(CHUNK / 4).fill(this.#word).buffer);
    let first = Infinity;
    let end = 0;
    let changed = 0;
    const compareByte = (at: number): void => {
      if (u8[at] === this.#bytes[at & 3]) return;
      first = Math.min(first, at);
      end = Math.max(end, at + 1);
      changed++;
    };
    for (const { address, length } of this.#untouched()) {
      for (const at of edgesOf(address, length)) compareByte(at);
      const [from, to] = wordsIn(address, length);
      for (let start = from; start < to; start += CHUNK / 4) {
        const next = Math.min(start + CHUNK / 4, to);
        const length = (next - start) * 4;
        if (Buffer.compare(u8.subarray(start * 4, next * 4), pattern.subarray(0, length)) === 0) continue;
        for (let i = start; i < next; i++)
          if (u32[i] !== this.#word) for (let byte = 0; byte < 4; byte++) compareByte(i * 4 + byte);
      }
    }
    return changed === 0 ? undefined : { address: first, length: end - first, changed };
  }

  /** What has the pattern and was not allocated since. */
  #untouched(): FreeRun[] {
    const { untouched } = this.#memory;
    return this.#watched.flatMap((watched) =>
      untouched.flatMap((run) => {
        const address = Math.max(run.address, watched.address);
        const end = Math.min(run.address + run.length, watched.address + watched.length);
        return end > address ? [{ address, length: end - address }] : [];
      }),
    );
  }
}

/** The parts of a run that have the pattern. */
function endsOf({ address, length }: Readonly<FreeRun>): FreeRun[] {
  if (length <= 2 * WATCHED_END) return [{ address, length }];
  return [
    { address, length: WATCHED_END },
    { address: address + length - WATCHED_END, length: WATCHED_END },
  ];
}

/** The whole words of a range: indices of the first, and behind the last. */
function wordsIn(address: number, length: number): [first: number, last: number] {
  return [Math.ceil(address / 4), Math.floor((address + length) / 4)];
}

/** The bytes of a range outside of its whole words. */
function edgesOf(address: number, length: number): number[] {
  const [first, last] = wordsIn(address, length);
  const edges: number[] = [];
  for (let at = address; at < address + length; at++) {
    if (at === first * 4 && last > first) at = last * 4;
    if (at < address + length) edges.push(at);
  }
  return edges;
}
