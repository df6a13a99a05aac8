import { setImmediate } from 'node:timers/promises';
import { checkDevice, DeviceError, type GuestMemory, type Transport, type Virtqueue } from '@virtio-platform/core';
import { VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, SECTOR_SIZE, type BlockDriver } from '@virtio-platform/devices';
import type { WorkloadSection } from '@virtio-platform/profile';
import { fillPattern, matchesPattern } from './block-pattern.ts';
import type { WorkloadReport } from './report.ts';

export interface WorkloadContext {
  readonly memory: GuestMemory;
  readonly transport: Transport;
  readonly queue: Virtqueue;
  readonly driver: BlockDriver;
  /** Bytes of the device. */
  readonly capacity: number;
  /** How long no request may complete. */
  readonly timeoutMs: number;
  readonly onProgress: (done: number, total: number) => void;
}

/** How long the loop runs before it lets timers and signals through. */
const SLICE_MS = 50;

/**
 * Writes a pattern through the ring and reads it back, in rounds over the device: each round writes up to all its blocks and
 * then reads them in reverse, so that no slot reads the block whose bytes it still holds. Half the requests are writes.
 */
export class WriteReadVerify {
  readonly #context: WorkloadContext;
  readonly #section: WorkloadSection;
  readonly #block: Float64Array;
  #completed = 0;
  #errors = 0;
  #bytes = 0;
  #lastProgress = 0;
  #sliceEnd = 0;

  constructor(context: WorkloadContext, section: WorkloadSection) {
    this.#context = context;
    this.#section = section;
    this.#block = new Float64Array(context.driver.depth);
  }

  /** What was done so far; `verified` only once everything was. */
  get report(): WorkloadReport {
    const done = this.#completed === this.#section.requests;
    return {
      requests: this.#completed,
      bytes: this.#bytes,
      errors: this.#errors,
      verified: done && this.#errors === 0,
    };
  }

  /** Throws {@link DeviceError} when the device stalls, lies or is gone. */
  async run(): Promise<void> {
    const blocks = Math.floor(this.#context.capacity / this.#section.blockSize);
    if (blocks === 0)
      throw new DeviceError(
        'ERR_DEVICE_TOO_SMALL',
        `the device has ${this.#context.capacity} bytes, less than one block of the workload`,
      );
    this.#sliceEnd = this.#lastProgress = performance.now();
    for (let left = this.#section.requests, round = 0; left > 0; round++) {
      const writes = Math.min(blocks, Math.ceil(left / 2));
      const reads = Math.min(writes, left - writes);
      await this.#phase(VIRTIO_BLK_T_OUT, writes, round, 0, 1);
      await this.#phase(VIRTIO_BLK_T_IN, reads, round, writes - 1, -1);
      left -= writes + reads;
    }
  }

  /** Runs `count` requests of one type over blocks from `first` on, and drains them. */
  async #phase(type: number, count: number, round: number, first: number, step: number): Promise<void> {
    const { driver, queue, transport } = this.#context;
    let waitingSince = -1;
    for (let next = 0, done = 0; done < count;) {
      while (next < count && this.#submit(type, first + next * step, round)) next++;
      if (driver.publish()) transport.notify(queue.index);
      const came = this.#collect(type, round);
      done += came;
      if (came > 0) waitingSince = -1;
      else if (queue.enableNotifications()) {
        waitingSince = waitingSince < 0 ? performance.now() : waitingSince;
        this.#wait(waitingSince);
      }
      if (performance.now() > this.#sliceEnd) await this.#breathe();
    }
  }

  #submit(type: number, block: number, round: number): boolean {
    const { driver, memory } = this.#context;
    const { blockSize, seed } = this.#section;
    const slot = driver.take();
    if (slot < 0) return false;
    const address = driver.dataAddress(slot);
    if (type === VIRTIO_BLK_T_OUT) fillPattern(memory.u32, address, blockSize, seed, block, round);
    else memory.u8.fill(0, address, address + blockSize);
    this.#block[slot] = block;
    const reason = driver.submit(slot, type, (block * blockSize) / SECTOR_SIZE, blockSize);
    if (reason === 0) return true;
    driver.give(slot);
    if (driver.inFlight > 0) return false;
    const { broken } = this.#context.queue;
    if (broken !== undefined) throw new DeviceError('ERR_QUEUE_BROKEN', `${broken.code}: ${broken.detail}`);
    throw new DeviceError('ERR_DMA_EXHAUSTED', `not even one request can be mapped (reason ${reason})`, {
      hint: 'give the platform a larger window or pool, or ask for smaller blocks',
    });
  }

  #collect(type: number, round: number): number {
    const { driver, memory } = this.#context;
    const { blockSize, seed } = this.#section;
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

  /** Waits for the device, and finds out what is wrong when nothing comes. */
  #wait(since: number): void {
    const { transport, queue, timeoutMs } = this.#context;
    if (queue.broken !== undefined)
      throw new DeviceError('ERR_QUEUE_BROKEN', `${queue.broken.code}: ${queue.broken.detail}`);
    const left = timeoutMs - (performance.now() - since);
    const result = transport.wait(Math.max(0, Math.min(left, SLICE_MS)));
    if (result === 'lost') {
      // The transport knows more: the last command, and what the back-end printed.
      transport.readStatus();
      throw new DeviceError('ERR_DEVICE_LOST', `the device is gone with ${queue.outstanding} requests in flight`, {
        hint: 'see whether the back-end still runs and what it printed last',
      });
    }
    if (result === 'notified') return;
    checkDevice(transport);
    if (left > 0) return;
    throw new DeviceError(
      'ERR_DEVICE_STALLED',
      `no request completed in ${timeoutMs} ms, ${queue.outstanding} are in flight`,
    );
  }

  async #breathe(): Promise<void> {
    const now = performance.now();
    if (now - this.#lastProgress > 100) {
      this.#lastProgress = now;
      this.#context.onProgress(this.#completed, this.#section.requests);
    }
    await setImmediate();
    this.#sliceEnd = performance.now() + SLICE_MS;
  }
}
