import { PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';
import type { QueueAddresses } from '@virtio-platform/core/queue';
import type { RingPeer } from '../measured/measured.ts';
import { QUEUE_SIZE } from '../measured/ring-shape.ts';
import type { RequestSegment } from '../measured/request-segments.ts';

/**
 * Plays the driver of a split ring for a device's end that is measured: its chains lie in the table from the start, and
 * it only makes them available, again and again. Device addresses are physical.
 */
export class SplitDriverPeer implements RingPeer {
  readonly addresses: QueueAddresses;
  readonly #u16: Uint16Array;
  readonly #availIdx: number;
  readonly #avail: number;
  readonly #descriptors: number;
  readonly #batch: number;
  #idx = 0;

  constructor(memory: GuestMemory, segments: readonly RequestSegment[], batch: number) {
    this.#batch = batch;
    const table = memory.allocate(2 * PAGE_SIZE);
    const driver = memory.allocate(PAGE_SIZE);
    this.addresses = { size: QUEUE_SIZE, words: Uint32Array.of(table, 0, driver, 0, memory.allocate(PAGE_SIZE), 0) };
    this.#u16 = memory.u16;
    this.#availIdx = driver / 2 + 1;
    this.#avail = driver / 2 + 2;
    this.#descriptors = segments.length;
    for (let i = 0; i < batch * segments.length; i++) {
      const { address, length, flags } = segments[i % segments.length]!;
      memory.u32.set([address, 0, length, flags | ((i + 1) << 16)], table / 4 + i * 4);
    }
  }

  /** Makes a batch of chains available. */
  turn(): void {
    const count = this.#batch;
    for (let i = 0; i < count; i++) {
      this.#u16[this.#avail + (this.#idx & (QUEUE_SIZE - 1))] = i * this.#descriptors;
      this.#idx = (this.#idx + 1) & 0xffff;
    }
    Atomics.store(this.#u16, this.#availIdx, this.#idx);
  }
}
