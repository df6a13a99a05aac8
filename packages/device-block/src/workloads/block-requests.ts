import type { WorkDone, WorkloadContext } from '@virtio-platform/core';
import { fillPattern, matchesPattern, MismatchLog } from '@virtio-platform/device-kit';
import type { BlockDisk } from '../block-disk.ts';
import type { BlockSettings } from '../block-settings.ts';
import { SECTOR_SIZE, VIRTIO_BLK_S_OK, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT } from '../layout.ts';
import { BlockLane } from './block-lane.ts';
import { blockMismatchKind, describeBlockMismatch } from './block-mismatch.ts';
import {
  ROUNDS,
  UNDEFINED_ROUND,
  UNKNOWN_ROUND,
  ZERO_ROUND,
  type BlockOutcome,
  type BlockRanges,
  type BlockRequest,
} from './block-request.ts';

/** The options of the workloads over blocks of one size. */
export interface BlockWorkOptions {
  /** Bytes of each request; a multiple of 512. */
  readonly blockSize: number;
}

/** What a workload over blocks is made from. */
export type BlockWorkContext<Options extends BlockWorkOptions = BlockWorkOptions> = WorkloadContext<
  BlockSettings,
  Options
>;

/** What a workload does with a request that came back; `address` is that of its data. */
export type BlockCompletion = (request: BlockRequest, outcome: BlockOutcome, address: number) => void;

/** The most blocks of which a workload remembers the request that wrote them. */
const MOST_WRITERS = 1 << 18;

/** What data is before it is read without a pattern to compare with: a device that writes nothing shows. */
const NOT_ZERO = 0xa5;

/**
 * Requests of blocks on all queues of a disk, which take turns: writes patterns, compares what is read with the pattern
 * of its block and round, counts, and makes again what queue resets return. A workload chooses the requests.
 */
export class BlockRequests {
  readonly #context: BlockWorkContext;
  readonly #disk: BlockDisk;
  readonly #lanes: readonly BlockLane[];
  readonly #onCompleted: BlockCompletion | undefined;
  /** Requests that a queue reset took back, to be made again. */
  readonly #again: BlockRequest[] = [];
  readonly #mismatches: MismatchLog;
  /** By block, the request that wrote it last: its number, 0 for none, its queue and its buffer. */
  readonly #writers: Float64Array;
  readonly #writerBuffers: Uint32Array;
  /** Index of the lane whose turn it is. */
  #turn = 0;
  #repeated = 0;
  #completed = 0;
  #bytes = 0;

  /** Without `onCompleted`, what comes back is compared and counted only. */
  constructor(disk: BlockDisk, context: BlockWorkContext, onCompleted?: BlockCompletion) {
    this.#context = context;
    this.#mismatches = new MismatchLog(context.loop);
    this.#disk = disk;
    this.#onCompleted = onCompleted;
    const remembered = Math.min(this.blocks, MOST_WRITERS);
    this.#writers = new Float64Array(remembered);
    this.#writerBuffers = new Uint32Array(remembered);
    this.#lanes = disk.drivers.map((driver, i) => new BlockLane(driver, context.queues[i]!.queue));
  }

  get done(): WorkDone {
    const mismatches = this.#mismatches.report;
    return { requests: this.#completed, bytes: this.#bytes, repeated: this.#repeated, mismatches };
  }

  /** Requests that are complete. */
  get completed(): number {
    return this.#completed;
  }

  /** Where the mismatches of the workload are collected. */
  get mismatches(): MismatchLog {
    return this.#mismatches;
  }

  /**
   * Whole blocks of the disk as it is now, and after each change of its size that the settings have: what is in flight
   * behind the end of a disk that shrinks may be done or refused, and is lost.
   */
  get blocks(): number {
    const { settings, options } = this.#context;
    const { resizes = [] } = settings;
    const capacities = [this.#disk.capacity, ...resizes.map(({ capacity }) => capacity)];
    return Math.floor(Math.min(...capacities) / options.blockSize);
  }

  /**
   * Gives a request to the next queue that has room for it. Returns false where none has. `ranges` are those of a
   * discard, write zeroes or secure erase, and `expected` is the status that has to come. Hot.
   */
  submit(
    type: number,
    block: number,
    round: number,
    ranges?: BlockRanges,
    expected: number = VIRTIO_BLK_S_OK,
  ): boolean {
    const lanes = this.#lanes;
    let reason = 0;
    for (let tries = lanes.length; tries > 0; tries--) {
      const lane = lanes[this.#turn]!;
      this.#turn = this.#turn + 1 === lanes.length ? 0 : this.#turn + 1;
      const result = this.#submitTo(lane, type, block, round, ranges, expected);
      if (result === 0) return true;
      if (result < 0) reason = result;
    }
    if (reason < 0 && this.#isIdle()) this.#context.loop.failedToAdd(reason);
    return false;
  }

  /** Makes requests again that a queue reset returned, as many as there is room for. Returns whether none is left. */
  submitAgain(): boolean {
    for (let next = this.#again.at(-1); next !== undefined; next = this.#again.at(-1)) {
      if (!this.submit(next.type, next.block, next.round, next.ranges, next.expected)) return false;
      this.#again.pop();
    }
    return true;
  }

  /** Ends a round: shows the requests to the device and takes back those that came. Throws {@link DeviceError}. */
  async turn(): Promise<void> {
    const lanes = this.#lanes;
    const { notify, loop } = this.#context;
    for (let i = 0; i < lanes.length; i++) lanes[i]!.publish();
    loop.disrupt(this.#completed);
    for (let i = 0; i < lanes.length; i++) lanes[i]!.notify(notify);
    let came = 0;
    for (let i = 0; i < lanes.length; i++) came += this.#collect(lanes[i]!);
    await loop.turn(came, this.#completed);
  }

  /** A queue reset returned the buffers with these ids. */
  recover(queue: number, ids: readonly number[]): void {
    const lane = this.#lanes.find((candidate) => candidate.queue.index === queue);
    if (lane === undefined) return;
    for (const slot of lane.driver.recover(ids)) {
      this.#again.push(lane.request(slot));
      lane.driver.give(slot);
    }
    this.#repeated += ids.length;
  }

  /** Whether nothing is in flight on any queue. Hot. */
  #isIdle(): boolean {
    for (let i = 0; i < this.#lanes.length; i++) if (this.#lanes[i]!.driver.inFlight > 0) return false;
    return true;
  }

  /** Returns 0, a negative reason as `BlockDriver.submit` has it, or 1 where all slots are in use. Hot. */
  #submitTo(
    lane: BlockLane,
    type: number,
    block: number,
    round: number,
    ranges: BlockRanges | undefined,
    expected: number,
  ): number {
    const { driver } = lane;
    const { memory, seed, options } = this.#context;
    const { blockSize } = options;
    const slot = driver.take();
    if (slot < 0) return 1;
    const address = driver.dataAddress(slot);
    if (type === VIRTIO_BLK_T_OUT) fillPattern(memory.u32, address, blockSize, seed, block, round);
    else {
      memory.u8.fill(round < ROUNDS ? 0 : NOT_ZERO, address, address + blockSize);
      // A slot may read what it wrote last; the rounds of write-read-verify have it read something else.
      if (this.#onCompleted !== undefined) driver.showData(slot, blockSize);
    }
    lane.types[slot] = type;
    lane.blocks[slot] = block;
    lane.rounds[slot] = round;
    lane.ranges[slot] = ranges;
    lane.expected[slot] = expected;
    const sectors = blockSize / SECTOR_SIZE;
    const reason =
      ranges === undefined
        ? driver.submit(slot, type, block * sectors, blockSize)
        : this.#submitRanges(lane, slot, type, ranges, sectors);
    if (reason !== 0) driver.give(slot);
    return reason;
  }

  #submitRanges({ driver }: BlockLane, slot: number, type: number, ranges: BlockRanges, sectors: number): number {
    const { runs, flags } = ranges;
    for (const [i, { block, count }] of runs.entries()) driver.setRange(slot, i, block * sectors, count * sectors);
    return driver.submitRanges(slot, type, runs.length, flags);
  }

  #collect(lane: BlockLane): number {
    const { driver } = lane;
    const { blockSize } = this.#context.options;
    const came = driver.poll();
    for (let i = 0; i < came; i++) {
      const slot = driver.completedSlots[i]!;
      const type = lane.types[slot]!;
      const outcome = this.#outcome(lane, slot, i);
      if (type === VIRTIO_BLK_T_OUT && outcome === 'done') this.#remember(lane, slot, i);
      if (outcome === 'wrong') this.#noteMismatch(lane, i);
      else if (outcome === 'done' && (type === VIRTIO_BLK_T_IN || type === VIRTIO_BLK_T_OUT)) this.#bytes += blockSize;
      this.#onCompleted?.(lane.request(slot), outcome, driver.dataAddress(slot));
      driver.give(slot);
    }
    this.#completed += came;
    return came;
  }

  /** Compares what came back at place `i` of the last `poll` with what has to come. */
  #outcome(lane: BlockLane, slot: number, i: number): BlockOutcome {
    if (!lane.driver.isGuarded(slot)) return 'wrong';
    const expected = lane.expected[slot]!;
    if (expected !== VIRTIO_BLK_S_OK) return lane.driver.completedBytes[i] === expected ? 'refused' : 'wrong';
    return lane.driver.completedStatus[i] === VIRTIO_BLK_S_OK && this.#isRight(lane, slot) ? 'done' : 'wrong';
  }

  /** Whether the data of a read with status OK is that of its block. */
  #isRight({ driver, types, blocks, rounds }: BlockLane, slot: number): boolean {
    const round = rounds[slot]!;
    if (types[slot] !== VIRTIO_BLK_T_IN || round === UNKNOWN_ROUND || round === UNDEFINED_ROUND) return true;
    const { memory, seed, options } = this.#context;
    const address = driver.dataAddress(slot);
    if (round === ZERO_ROUND) return isZero(memory.u32, address, options.blockSize);
    return matchesPattern(memory.u32, address, options.blockSize, seed, blocks[slot]!, round);
  }

  /** A request wrote its block. Hot. */
  #remember({ driver, blocks, queue }: BlockLane, slot: number, i: number): void {
    const block = blocks[slot]!;
    if (block >= this.#writers.length) return;
    this.#writers[block] = this.#completed + i + 1;
    this.#writerBuffers[block] = (queue.index << 16) | driver.completedIds[i]!;
  }

  #noteMismatch(lane: BlockLane, index: number): void {
    const { inspected, seed, options } = this.#context;
    const { driver, queue } = lane;
    const place = lane.request(driver.completedSlots[index]!);
    const wrong = { driver, queue: queue.index, index, ...place, blockSize: options.blockSize, seed };
    const number = this.#writers[place.block] ?? 0;
    const from = this.#writerBuffers[place.block] ?? 0;
    const writer = number === 0 ? undefined : { request: number, queue: from >>> 16, buffer: from & 0xffff };
    const request = { ...wrong, request: this.#completed + index + 1, memory: inspected.u8, writer };
    this.#mismatches.note(blockMismatchKind(request), () => describeBlockMismatch(request));
    const slot = driver.completedSlots[index]!;
    if (!driver.isGuarded(slot)) driver.fillGuard(slot);
  }
}

/** Whether `length` bytes, a multiple of 4, are zero. Hot. */
function isZero(words: Uint32Array, address: number, length: number): boolean {
  for (let i = address / 4, end = (address + length) / 4; i < end; i++) if (words[i] !== 0) return false;
  return true;
}
