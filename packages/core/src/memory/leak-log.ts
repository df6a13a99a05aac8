import type { GuestMemory } from './guest-memory.ts';

/** Something that a platform could not take back from the device. */
export interface Leak {
  /** What it is and why it is not back, in words: `grant 12 is still in use by domain 3`. */
  readonly what: string;
  /** Guest-physical address of the memory that the device may still reach. */
  readonly address: number;
  /** Bytes from there. */
  readonly length: number;
}

/** What a platform could not take back so far: how much, and the first {@link LeakLog.LIMIT} in full. */
export interface LeakRecord {
  readonly count: number;
  readonly entries: readonly Leak[];
}

interface OwnedLeak extends Leak {
  readonly owner: object | undefined;
}

/**
 * The leaks of one platform, in order. Keeps the first {@link LeakLog.LIMIT} and counts all, so that a device that
 * gives nothing back cannot fill memory with records. Cold.
 */
export class LeakLog implements LeakRecord {
  static readonly LIMIT = 256;
  readonly #memory: Pick<GuestMemory, 'withhold' | 'restore'> | undefined;
  #entries: OwnedLeak[] = [];
  readonly #unlisted = new Map<object | undefined, { count: number; bytes: number }>();

  /** With `memory`, what leaked is not allocated again, also where its owner frees it. */
  constructor(memory?: Pick<GuestMemory, 'withhold' | 'restore'>) {
    this.#memory = memory;
  }

  get count(): number {
    let sum = this.#entries.length;
    for (const { count } of this.#unlisted.values()) sum += count;
    return sum;
  }

  /** Bytes of all leaks together. */
  get bytes(): number {
    let sum = this.#entries.reduce((bytes, { length }) => bytes + length, 0);
    for (const { bytes } of this.#unlisted.values()) sum += bytes;
    return sum;
  }

  get entries(): readonly Leak[] {
    return this.#entries.map(({ what, address, length }) => ({ what, address, length }));
  }

  /** Records a leak. `owner` is what may take it back later: see {@link takenBack}. */
  record({ what, address, length }: Leak, owner?: object): void {
    this.#memory?.withhold(address);
    if (this.#entries.length < LeakLog.LIMIT) {
      this.#entries.push({ what, address, length, owner });
      return;
    }
    const unlisted = this.#unlisted.get(owner) ?? { count: 0, bytes: 0 };
    this.#unlisted.set(owner, { count: unlisted.count + 1, bytes: unlisted.bytes + length });
  }

  /**
   * Forgets all leaks of `owner`: they were taken back after all. Memory of those that are not among the entries stays
   * withheld.
   */
  takenBack(owner: object): void {
    const back = this.#entries.filter((leak) => leak.owner === owner);
    this.#entries = this.#entries.filter((leak) => leak.owner !== owner);
    this.#unlisted.delete(owner);
    for (const { address } of back) this.#memory?.restore(address);
  }
}
