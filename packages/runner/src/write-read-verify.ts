import { DeviceError } from '@virtio-platform/core';
import { VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, SECTOR_SIZE, type BlockDriver } from '@virtio-platform/devices';
import { fillPattern, matchesPattern } from './block-pattern.ts';
import type { DriverContext, DriverHalf } from './driver-half.ts';
import { Interruptions } from './interruptions.ts';
import type { WorkloadReport } from './report.ts';
import { WorkLoop } from './work-loop.ts';

/**
 * Writes a pattern through the ring and reads it back, in rounds over the device: each round writes up to all its blocks and
 * then reads them in reverse, so that no slot reads the block whose bytes it still holds. Half the requests are writes.
 */
export class WriteReadVerify implements DriverHalf {
  readonly #context: DriverContext;
  readonly #driver: BlockDriver;
  readonly #capacity: number;
  readonly #loop: WorkLoop;
  readonly #interruptions: Interruptions;
  readonly #block: Float64Array;
  /** Blocks whose requests a queue reset took back, to be done again. */
  readonly #again: number[] = [];
  #repeated = 0;
  #completed = 0;
  #errors = 0;
  #bytes = 0;

  /** Owns `driver`. `capacity` is that of the device, in bytes. */
  constructor(context: DriverContext, driver: BlockDriver, capacity: number) {
    this.#context = context;
    this.#driver = driver;
    this.#capacity = capacity;
    this.#loop = new WorkLoop(context);
    this.#block = new Float64Array(driver.depth);
    this.#interruptions = new Interruptions(context, (_queue, ids) => this.#recover(ids));
  }

  /** What was done so far; `verified` only once everything was. */
  get report(): WorkloadReport {
    const done = this.#completed === this.#context.profile.workload.requests;
    return {
      requests: this.#completed,
      bytes: this.#bytes,
      errors: this.#errors,
      verified: done && this.#errors === 0,
      interruptions: this.#interruptions.count,
      repeated: this.#repeated,
    };
  }

  async run(): Promise<void> {
    const { blockSize, requests } = this.#context.profile.workload;
    const blocks = Math.floor(this.#capacity / blockSize);
    if (blocks === 0)
      throw new DeviceError(
        'ERR_DEVICE_TOO_SMALL',
        `the device has ${this.#capacity} bytes, less than one block of the workload`,
      );
    for (let left = requests, round = 0; left > 0; round++) {
      const writes = Math.min(blocks, Math.ceil(left / 2));
      const reads = Math.min(writes, left - writes);
      await this.#phase(VIRTIO_BLK_T_OUT, writes, round, 0, 1);
      await this.#phase(VIRTIO_BLK_T_IN, reads, round, writes - 1, -1);
      left -= writes + reads;
    }
  }

  dispose(): void {
    this.#driver.dispose();
  }

  /** Runs `count` requests of one type over blocks from `first` on, and drains them. */
  async #phase(type: number, count: number, round: number, first: number, step: number): Promise<void> {
    const driver = this.#driver;
    const { queue } = this.#context.queues[0]!;
    for (let next = 0, done = 0; done < count;) {
      while (this.#again.length > 0 && this.#submit(type, this.#again.at(-1)!, round)) this.#again.pop();
      while (next < count && this.#submit(type, first + next * step, round)) next++;
      const isWanted = driver.publish();
      this.#interruptions.check(this.#completed);
      if (isWanted) this.#context.transport.notify(queue.index, queue.nextAvailable);
      const came = this.#collect(type, round);
      done += came;
      await this.#loop.turn(came, this.#completed);
    }
  }

  #submit(type: number, block: number, round: number): boolean {
    const driver = this.#driver;
    const { memory, profile } = this.#context;
    const { blockSize, seed } = profile.workload;
    const slot = driver.take();
    if (slot < 0) return false;
    const address = driver.dataAddress(slot);
    if (type === VIRTIO_BLK_T_OUT) fillPattern(memory.u32, address, blockSize, seed, block, round);
    else memory.u8.fill(0, address, address + blockSize);
    this.#block[slot] = block;
    const reason = driver.submit(slot, type, (block * blockSize) / SECTOR_SIZE, blockSize);
    if (reason === 0) return true;
    driver.give(slot);
    if (driver.inFlight === 0) this.#loop.failedToAdd(reason);
    return false;
  }

  #recover(ids: readonly number[]): void {
    for (const slot of this.#driver.recover(ids)) {
      this.#again.push(this.#block[slot]!);
      this.#driver.give(slot);
    }
    this.#repeated += ids.length;
  }

  #collect(type: number, round: number): number {
    const driver = this.#driver;
    const { memory, profile } = this.#context;
    const { blockSize, seed } = profile.workload;
    const came = driver.poll();
    for (let i = 0; i < came; i++) {
      const slot = driver.completedSlots[i]!;
      const isOk =
        driver.completedStatus[i] === 0 &&
        (type === VIRTIO_BLK_T_OUT ||
          matchesPattern(memory.u32, driver.dataAddress(slot), blockSize, seed, this.#block[slot]!, round));
      if (isOk) this.#bytes += blockSize;
      else this.#errors++;
      driver.give(slot);
    }
    this.#completed += came;
    return came;
  }
}
