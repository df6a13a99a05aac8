import { DmaDirection, type DmaMapping } from '@virtio-platform/core/dma';
import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import { MEASURED_PLATFORMS } from './measured-platforms.ts';
import type { Measured } from './measured.ts';
import type { BounceTask, RawCopyTask } from './measure-task.ts';

const MEMORY_BYTES = 16 * 1024 * 1024;

/** A buffer that is mapped and unmapped by a platform that copies it: all of it goes one way. */
export class Bounce implements Measured {
  readonly perRound: number = 1;
  readonly #mapping: DmaMapping;
  readonly #address: number;
  readonly #bytes: number;
  readonly #direction: DmaDirection;
  /** What the device says it wrote. */
  readonly #written: number;
  readonly #words = new Uint32Array(2);

  /** Throws RangeError for a platform that is not measured. */
  constructor({ platform, bytes, to }: BounceTask) {
    const memory = new GuestMemory(new SharedArrayBuffer(MEMORY_BYTES));
    const open = MEASURED_PLATFORMS.get(platform);
    if (open === undefined) throw new RangeError(`no platform is named ${platform}`);
    this.#mapping = open(memory, 1).mapping;
    this.#bytes = bytes;
    this.#address = memory.allocate(Math.ceil(bytes / PAGE_SIZE) * PAGE_SIZE);
    this.#direction = to === 'device' ? DmaDirection.ToDevice : DmaDirection.FromDevice;
    this.#written = to === 'device' ? 0 : bytes;
  }

  round(): void {
    const id = this.#mapping.map(this.#address, this.#bytes, this.#direction, this.#words, 0);
    if (id < 0) throw new RangeError(`the buffer could not be mapped: ${id}`);
    this.#mapping.unmap(id, this.#written);
  }
}

/** The same bytes copied once, by the engine. */
export class RawCopy implements Measured {
  readonly perRound: number = 1;
  readonly #bytes: Uint8Array;
  readonly #length: number;

  constructor({ bytes }: RawCopyTask) {
    this.#bytes = new Uint8Array(new SharedArrayBuffer(MEMORY_BYTES));
    this.#length = bytes;
  }

  round(): void {
    this.#bytes.copyWithin(MEMORY_BYTES / 2, PAGE_SIZE, PAGE_SIZE + this.#length);
  }
}
