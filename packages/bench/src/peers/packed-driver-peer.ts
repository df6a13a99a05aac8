import { PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';
import { advance, availableFlags, FIRST_POSITION, slotOf, type QueueAddresses } from '@virtio-platform/core/queue';
import type { RequestSegment } from '../measured/request-segments.ts';
import type { RingPeer } from '../measured/measured.ts';
import { QUEUE_SIZE } from '../measured/ring-shape.ts';

/**
 * Plays the driver of a packed ring for a device's end that is measured: writes the ring's words itself, the flags of
 * the first list last. The device's end writes used descriptors over the slots of the lists, so this peer writes each
 * list again before the next lap. Device addresses are physical.
 */
export class PackedDriverPeer implements RingPeer {
  readonly addresses: QueueAddresses;
  readonly #u16: Uint16Array;
  readonly #u32: Uint32Array;
  readonly #ring: number;
  readonly #count: number;
  readonly #address: Uint32Array;
  readonly #length: Uint32Array;
  readonly #flags: Uint16Array;
  readonly #batch: number;
  #position = FIRST_POSITION;

  constructor(memory: GuestMemory, segments: readonly RequestSegment[], batch: number) {
    this.#batch = batch;
    this.#ring = memory.allocate(2 * PAGE_SIZE);
    const events = memory.allocate(PAGE_SIZE);
    this.addresses = { size: QUEUE_SIZE, words: Uint32Array.of(this.#ring, 0, events, 0, events + 4, 0) };
    this.#u16 = memory.u16;
    this.#u32 = memory.u32;
    this.#count = segments.length;
    this.#address = Uint32Array.from(segments, ({ address }) => address);
    this.#length = Uint32Array.from(segments, ({ length }) => length);
    this.#flags = Uint16Array.from(segments, ({ flags }) => flags);
  }

  /** Makes a batch of lists available. */
  turn(): void {
    const count = this.#batch;
    const first = this.#position;
    const ids = this.#ring / 2 + 6;
    for (let i = 0; i < count; i++) {
      for (let k = 0; k < this.#count; k++) {
        const slot = slotOf(this.#position);
        const at = this.#ring / 4 + slot * 4;
        this.#u32[at] = this.#address[k]!;
        this.#u32[at + 1] = 0;
        this.#u32[at + 2] = this.#length[k]!;
        this.#u16[ids + slot * 8] = i;
        if (i + k > 0) this.#u16[ids + slot * 8 + 1] = this.#flags[k]! | availableFlags(this.#position);
        this.#position = advance(this.#position, 1, QUEUE_SIZE);
      }
    }
    Atomics.store(this.#u16, ids + slotOf(first) * 8 + 1, this.#flags[0]! | availableFlags(first));
  }
}
