import { DmaDirection, type DmaMapping } from '@virtio-platform/core/dma';
import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import { MEASURED_PLATFORMS } from './measured-platforms.ts';
import type { Measured } from './measured.ts';
import type { LiveMappingsTask } from './measure-task.ts';

/** Pages that are mapped again and again, beside those that stay. */
const PER_ROUND = 32;
/** Buffers that are mapped: several mappings may be of one. */
const PAGES = 1024;
/** Of a linear congruential generator of 32 bits (Numerical Recipes): the same order in every process. */
const [FACTOR, SUMMAND] = [1_664_525, 1_013_904_223];

/** A mapping with many live entries: each step unmaps one of them, at random, and maps another page in its place. */
export class LiveMappings implements Measured {
  readonly perRound: number = PER_ROUND;
  readonly #mapping: DmaMapping;
  readonly #ids: Int32Array;
  readonly #first: number;
  readonly #words = new Uint32Array(2);
  #random = 1;

  /** Throws RangeError where the platform is not measured, or has no room for so many. */
  constructor({ platform, live }: LiveMappingsTask) {
    const memory = new GuestMemory(new SharedArrayBuffer(2 * PAGES * PAGE_SIZE));
    const open = MEASURED_PLATFORMS.get(platform);
    if (open === undefined) throw new RangeError(`no platform is named ${platform}`);
    this.#mapping = open(memory, live).mapping;
    this.#first = memory.allocate(PAGES * PAGE_SIZE);
    this.#ids = new Int32Array(live);
    for (let i = 0; i < live; i++) this.#ids[i] = this.#map();
  }

  round(): void {
    const ids = this.#ids;
    for (let i = 0; i < PER_ROUND; i++) {
      const at = this.#next() % ids.length;
      this.#mapping.unmap(ids[at]!, 0);
      ids[at] = this.#map();
    }
  }

  #map(): number {
    const address = this.#first + (this.#next() % PAGES) * PAGE_SIZE;
    const id = this.#mapping.map(address, PAGE_SIZE, DmaDirection.ToDevice, this.#words, 0);
    if (id < 0) throw new RangeError(`a page could not be mapped: ${id}`);
    return id;
  }

  #next(): number {
    this.#random = (Math.imul(this.#random, FACTOR) + SUMMAND) | 0;
    // The low bits of such a generator are poor.
    return this.#random >>> 8;
  }
}
