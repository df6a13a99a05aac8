import { DeviceError, type WorkDone, type Workload, type WorkloadContext } from '@virtio-platform/core';
import type { Virtqueue } from '@virtio-platform/core/queue';
import { fillPattern, matchesPattern, MismatchLog } from '@virtio-platform/device-kit';
import type { BlockDisk } from './block-disk.ts';
import type { BlockDriver } from './block-driver.ts';
import { blockMismatchKind, describeBlockMismatch, type WrongBlockRequest } from './block-mismatch.ts';
import type { BlockSettings } from './block-settings.ts';
import { SECTOR_SIZE, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT } from './layout.ts';

/** The options of the workloads over blocks of one size. */
export interface BlockWorkOptions {
  /** Bytes of each request; a multiple of 512. */
  readonly blockSize: number;
}

/** What a workload over blocks is made from. */
export type BlockWorkContext = WorkloadContext<BlockSettings, BlockWorkOptions>;

/**
 * Writes a pattern through the ring and reads it back, in rounds over the device: each round writes up to all its
 * blocks and then reads them in reverse, so that no slot reads the block whose bytes it still holds. Half the requests
 * are writes. The queues of the device take turns.
 */
export class WriteReadVerify implements Workload {
  readonly #context: BlockWorkContext;
  readonly #disk: BlockDisk;
  readonly #lanes: readonly Lane[];
  /** Blocks whose requests a queue reset took back, to be done again. */
  readonly #again: number[] = [];
  /** Index of the lane whose turn it is. */
  #turn = 0;
  #repeated = 0;
  #completed = 0;
  readonly #mismatches = new MismatchLog();
  #bytes = 0;

  /** Throws {@link DeviceError} `ERR_DEVICE_READ_ONLY`. */
  constructor(disk: BlockDisk, context: BlockWorkContext) {
    disk.checkWritable();
    this.#context = context;
    this.#disk = disk;
    this.#lanes = disk.drivers.map((driver, i) => new Lane(driver, context.queues[i]!.queue));
  }

  get done(): WorkDone {
    const mismatches = this.#mismatches.report;
    return { requests: this.#completed, bytes: this.#bytes, repeated: this.#repeated, mismatches };
  }

  async run(): Promise<void> {
    const { requests } = this.#context;
    for (let left = requests, round = 0; left > 0; round++) {
      const blocks = this.#blocks();
      const writes = Math.min(blocks, Math.ceil(left / 2));
      const reads = Math.min(writes, left - writes);
      await this.#phase(VIRTIO_BLK_T_OUT, writes, round, 0, 1);
      await this.#phase(VIRTIO_BLK_T_IN, reads, round, writes - 1, -1);
      left -= writes + reads;
    }
  }

  recover(queue: number, ids: readonly number[]): void {
    const lane = this.#lanes.find((candidate) => candidate.queue.index === queue);
    if (lane === undefined) return;
    const { driver, blocks } = lane;
    for (const slot of driver.recover(ids)) {
      this.#again.push(blocks[slot]!);
      driver.give(slot);
    }
    this.#repeated += ids.length;
  }

  /** Whole blocks of the disk as it is now: it may be resized. */
  #blocks(): number {
    const { capacity } = this.#disk;
    const blocks = Math.floor(capacity / this.#context.options.blockSize);
    if (blocks > 0) return blocks;
    const problem = `the device has ${capacity} bytes, less than one block of the workload`;
    throw new DeviceError('ERR_DEVICE_TOO_SMALL', problem);
  }

  /** Runs `count` requests of one type over blocks from `first` on, and drains them. */
  async #phase(type: number, count: number, round: number, first: number, step: number): Promise<void> {
    const lanes = this.#lanes;
    const { notify, loop } = this.#context;
    for (let next = 0, done = 0; done < count;) {
      while (this.#again.length > 0 && this.#submit(type, this.#again.at(-1)!, round)) this.#again.pop();
      while (next < count && this.#submit(type, first + next * step, round)) next++;
      for (let i = 0; i < lanes.length; i++) lanes[i]!.publish();
      loop.disrupt(this.#completed);
      for (let i = 0; i < lanes.length; i++) lanes[i]!.notify(notify);
      let came = 0;
      for (let i = 0; i < lanes.length; i++) came += this.#collect(lanes[i]!, type, round);
      done += came;
      await loop.turn(came, this.#completed);
    }
  }

  /** Gives a request to the next lane that has room for it. Hot. */
  #submit(type: number, block: number, round: number): boolean {
    const lanes = this.#lanes;
    let reason = 0;
    for (let tries = lanes.length; tries > 0; tries--) {
      const lane = lanes[this.#turn]!;
      this.#turn = this.#turn + 1 === lanes.length ? 0 : this.#turn + 1;
      const result = this.#submitTo(lane, type, block, round);
      if (result === 0) return true;
      if (result < 0) reason = result;
    }
    if (reason < 0 && this.#isIdle()) this.#context.loop.failedToAdd(reason);
    return false;
  }

  /** Whether nothing is in flight on any queue. Hot. */
  #isIdle(): boolean {
    for (let i = 0; i < this.#lanes.length; i++) if (this.#lanes[i]!.driver.inFlight > 0) return false;
    return true;
  }

  /** Returns 0, a negative reason as {@link BlockDriver.submit} has it, or 1 where all slots are in use. Hot. */
  #submitTo({ driver, blocks }: Lane, type: number, block: number, round: number): number {
    const { memory, seed, options } = this.#context;
    const { blockSize } = options;
    const slot = driver.take();
    if (slot < 0) return 1;
    const address = driver.dataAddress(slot);
    if (type === VIRTIO_BLK_T_OUT) fillPattern(memory.u32, address, blockSize, seed, block, round);
    else memory.u8.fill(0, address, address + blockSize);
    blocks[slot] = block;
    const reason = driver.submit(slot, type, (block * blockSize) / SECTOR_SIZE, blockSize);
    if (reason !== 0) driver.give(slot);
    return reason;
  }

  #collect({ driver, queue, blocks }: Lane, type: number, round: number): number {
    const { memory, seed, options } = this.#context;
    const { blockSize } = options;
    const came = driver.poll();
    for (let i = 0; i < came; i++) {
      const slot = driver.completedSlots[i]!;
      const isOk =
        driver.completedStatus[i] === 0 &&
        (type === VIRTIO_BLK_T_OUT ||
          matchesPattern(memory.u32, driver.dataAddress(slot), blockSize, seed, blocks[slot]!, round));
      if (isOk) this.#bytes += blockSize;
      else this.#noteMismatch({ driver, queue: queue.index, index: i, type, block: blocks[slot]!, round });
      driver.give(slot);
    }
    this.#completed += came;
    return came;
  }

  #noteMismatch(wrong: Pick<WrongBlockRequest, 'driver' | 'queue' | 'index' | 'type' | 'block' | 'round'>): void {
    const { inspected, seed, options } = this.#context;
    const { blockSize } = options;
    const request = { ...wrong, blockSize, seed, request: this.#completed + wrong.index + 1, memory: inspected.u8 };
    this.#mismatches.note(blockMismatchKind(request), () => describeBlockMismatch(request));
  }
}

/** One queue of the device at work. */
class Lane {
  readonly driver: BlockDriver;
  readonly queue: Virtqueue;
  /** By slot: the block its request is for. */
  readonly blocks: Float64Array;
  #isWanted = false;

  constructor(driver: BlockDriver, queue: Virtqueue) {
    this.driver = driver;
    this.queue = queue;
    this.blocks = new Float64Array(driver.depth);
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
