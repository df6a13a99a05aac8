import { DeviceError, type WorkDone, type Workload } from '@virtio-platform/core';
import type { BlockDisk } from '../block-disk.ts';
import { BlockRequests, type BlockWorkContext } from './block-requests.ts';
import { VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT } from '../layout.ts';

/**
 * Writes a pattern through the ring and reads it back, in rounds over the device: each round writes up to all its
 * blocks and then reads them in reverse, so that no slot reads the block whose bytes it still holds. Half the requests
 * are writes. The queues of the device take turns.
 */
export class WriteReadVerify implements Workload {
  readonly #context: BlockWorkContext;
  readonly #disk: BlockDisk;
  readonly #requests: BlockRequests;

  /** Throws {@link DeviceError} `ERR_DEVICE_READ_ONLY`. */
  constructor(disk: BlockDisk, context: BlockWorkContext) {
    disk.checkWritable();
    this.#context = context;
    this.#disk = disk;
    this.#requests = new BlockRequests(disk, context);
  }

  get done(): WorkDone {
    return this.#requests.done;
  }

  async run(): Promise<void> {
    for (let left = this.#context.requests, round = 0; left > 0; round++) {
      const blocks = wholeBlocks(this.#requests.blocks, this.#disk);
      const writes = Math.min(blocks, Math.ceil(left / 2));
      const reads = Math.min(writes, left - writes);
      await this.#phase(VIRTIO_BLK_T_OUT, writes, round, 0, 1);
      await this.#phase(VIRTIO_BLK_T_IN, reads, round, writes - 1, -1);
      left -= writes + reads;
    }
  }

  recover(queue: number, ids: readonly number[]): void {
    this.#requests.recover(queue, ids);
  }

  /** Runs `count` requests of one type over blocks from `first` on, and drains them. */
  async #phase(type: number, count: number, round: number, first: number, step: number): Promise<void> {
    const requests = this.#requests;
    const end = requests.completed + count;
    for (let next = 0; requests.completed < end;) {
      requests.submitAgain();
      while (next < count && requests.submit(type, first + next * step, round)) next++;
      await requests.turn();
    }
  }
}

/** The blocks of a disk. Throws {@link DeviceError} `ERR_DEVICE_TOO_SMALL` where it has not even one. */
export function wholeBlocks(blocks: number, { capacity }: BlockDisk): number {
  if (blocks > 0) return blocks;
  const problem = `the device has ${capacity} bytes, less than one block of the workload`;
  throw new DeviceError('ERR_DEVICE_TOO_SMALL', problem);
}
