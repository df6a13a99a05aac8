import { DirectDmaMapping } from '@virtio-platform/core/dma';
import { GuestMemory } from '@virtio-platform/core/memory';
import { SharedMemory } from '@virtio-platform/host';
import { WatchedMemory } from '../bench/watched-memory.ts';
import type { Region } from './payload.ts';

/** Bytes: the arena of a case, and memory behind it that is never given to the device. */
const MEMORY_BYTES = 8 * 1024 ** 2;
/** Added to a guest address: the user address of the same byte. */
export const USER_BASE = 0x7f00_0000_0000n;

/** The memory of a front-end, which it shares with a back-end. Its device addresses are guest-physical. */
export class FrontEndMemory {
  readonly watched: WatchedMemory;
  readonly size: number = MEMORY_BYTES;
  readonly #shared: SharedMemory;
  readonly #mapping: DirectDmaMapping;

  constructor() {
    this.#shared = SharedMemory.create(MEMORY_BYTES);
    const guest = new GuestMemory(this.#shared.buffer);
    this.#mapping = new DirectDmaMapping(guest, { path: 'physical', capacity: 1 });
    this.watched = new WatchedMemory(guest, this.#mapping);
  }

  /** The file, which is as long as the memory. */
  get descriptor(): number {
    return this.#shared.descriptor;
  }

  /** A part of the memory as a region. */
  region(start = 0, size: number = MEMORY_BYTES): Region {
    const guest = BigInt(start);
    return { guest, size: BigInt(size), user: USER_BASE + guest, offset: guest };
  }

  dispose(): void {
    this.watched.release();
    this.#mapping.dispose();
    this.#shared.dispose();
  }
}
