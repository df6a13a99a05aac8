import type { GuestMemory } from '@virtio-platform/core/memory';
import {
  advance,
  FIRST_POSITION,
  slotOf,
  usedFlags,
  VIRTQ_DESC_F_WRITE,
  type QueueAddresses,
} from '@virtio-platform/core/queue';
import type { RingPeer } from '../measured/measured.ts';

/**
 * Plays the device of a packed ring for a driver's end that is measured: returns what is available, checks nothing, and
 * writes the ring's words itself, the flags of the first buffer last. Device addresses are physical.
 */
export class PackedDevicePeer implements RingPeer {
  readonly #u16: Uint16Array;
  readonly #u32: Uint32Array;
  readonly #size: number;
  readonly #ring: number;
  readonly #descriptors: number;
  readonly #written: number;
  readonly #batch: number;
  #position = FIRST_POSITION;

  /** `descriptors` is what each buffer takes of the ring, `written` what the peer says of each, in bytes. */
  constructor(
    memory: GuestMemory,
    { size, words }: QueueAddresses,
    descriptors: number,
    written: number,
    batch: number,
  ) {
    this.#batch = batch;
    this.#u16 = memory.u16;
    this.#u32 = memory.u32;
    this.#size = size;
    this.#ring = words[0]!;
    this.#descriptors = descriptors;
    this.#written = written;
  }

  /** Returns a batch of buffers. */
  turn(): void {
    const count = this.#batch;
    const first = this.#position;
    const ids = this.#ring / 2 + 6;
    for (let i = 0; i < count; i++) {
      const slot = slotOf(this.#position);
      const last = slotOf(advance(this.#position, this.#descriptors - 1, this.#size));
      this.#u16[ids + slot * 8] = this.#u16[ids + last * 8]!;
      this.#u32[this.#ring / 4 + slot * 4 + 2] = this.#written;
      if (i > 0) this.#u16[ids + slot * 8 + 1] = usedFlags(this.#position) | VIRTQ_DESC_F_WRITE;
      this.#position = advance(this.#position, this.#descriptors, this.#size);
    }
    Atomics.store(this.#u16, ids + slotOf(first) * 8 + 1, usedFlags(first) | VIRTQ_DESC_F_WRITE);
  }
}
