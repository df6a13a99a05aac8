import type { Virtqueue } from '@virtio-platform/core/queue';
import type { BlockDriver } from '../block-driver.ts';
import type { BlockRanges, BlockRequest } from './block-request.ts';

/** One queue of a disk at work, with what each slot of its driver is for. */
export class BlockLane {
  readonly driver: BlockDriver;
  readonly queue: Virtqueue;
  /** By slot, as in {@link BlockRequest}. */
  readonly types: Uint32Array;
  readonly blocks: Float64Array;
  readonly rounds: Uint32Array;
  readonly expected: Uint8Array;
  readonly ranges: (BlockRanges | undefined)[];
  #isWanted = false;

  constructor(driver: BlockDriver, queue: Virtqueue) {
    this.driver = driver;
    this.queue = queue;
    this.types = new Uint32Array(driver.depth);
    this.blocks = new Float64Array(driver.depth);
    this.rounds = new Uint32Array(driver.depth);
    this.expected = new Uint8Array(driver.depth);
    this.ranges = Array.from({ length: driver.depth }, () => undefined);
  }

  /** The request of a slot. */
  request(slot: number): BlockRequest {
    return {
      type: this.types[slot]!,
      block: this.blocks[slot]!,
      round: this.rounds[slot]!,
      expected: this.expected[slot]!,
      ranges: this.ranges[slot],
    };
  }

  /** Shows submitted requests to the device. Hot. */
  publish(): void {
    this.#isWanted = this.driver.publish();
  }

  /** Tells the device of what was published last, where it wants to be told. Hot. */
  notify(send: (queue: Virtqueue) => void): void {
    if (this.#isWanted) send(this.queue);
  }
}
