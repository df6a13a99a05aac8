import type { GuestMemory } from '@virtio-platform/core/memory';
import type { QueueAddresses } from '@virtio-platform/core/queue';
import type { RingPeer } from '../measured/measured.ts';

/**
 * Plays the device of a split ring for a driver's end that is measured: returns what is available, checks nothing, and
 * writes the ring's words itself. Device addresses are physical.
 */
export class SplitDevicePeer implements RingPeer {
  readonly #u16: Uint16Array;
  readonly #u32: Uint32Array;
  readonly #mask: number;
  readonly #avail: number;
  readonly #usedIdx: number;
  readonly #used: number;
  readonly #written: number;
  readonly #batch: number;
  #idx = 0;

  /** `written` is what it says of each buffer, in bytes. */
  constructor(memory: GuestMemory, { size, words }: QueueAddresses, written: number, batch: number) {
    this.#batch = batch;
    this.#u16 = memory.u16;
    this.#u32 = memory.u32;
    this.#mask = size - 1;
    this.#avail = words[2]! / 2 + 2;
    this.#usedIdx = words[4]! / 2 + 1;
    this.#used = words[4]! / 4 + 1;
    this.#written = written;
  }

  /** Returns a batch of buffers. */
  turn(): void {
    const count = this.#batch;
    for (let i = 0; i < count; i++) {
      const slot = this.#idx & this.#mask;
      this.#u32[this.#used + slot * 2] = this.#u16[this.#avail + slot]!;
      this.#u32[this.#used + slot * 2 + 1] = this.#written;
      this.#idx = (this.#idx + 1) & 0xffff;
    }
    Atomics.store(this.#u16, this.#usedIdx, this.#idx);
  }
}
