import type { WorkDone, Workload } from '@virtio-platform/core';
import { Random } from '@virtio-platform/device-kit';
import type { BlockDisk } from '../block-disk.ts';
import * as wire from '../layout.ts';
import { BlockAnswers } from './block-answers.ts';
import { BlockModel } from './block-model.ts';
import {
  ROUNDS,
  UNDEFINED_ROUND,
  UNKNOWN_ROUND,
  ZERO_ROUND,
  type BlockOutcome,
  type BlockRequest,
  type BlockRun,
} from './block-request.ts';
import { BlockRequests, type BlockWorkContext } from './block-requests.ts';
import type { MixedOptions } from './mixed-options.ts';
import { wholeBlocks } from './write-read-verify.ts';

/** Blocks that a workload uses: as many as the disk has, but no more than this, spread over all of it. */
const MOST_BLOCKS = 0x1_0000;
/** Most ranges of one request, and most blocks of one of them. */
const MOST_RUNS = 4;
const MOST_RUN = 8;
/** The part of the requests that a disk has to refuse, where the conditions have such. */
const REFUSALS = 0.05;
/** A request type that the specification does not have. */
const UNKNOWN_TYPE = 0x77;

/**
 * All requests of a disk at random against a {@link BlockModel}: reads, writes, flushes, discards, writes of zeroes,
 * secure erases, questions, switches of the cache, and what the disk has to refuse. Each change is read back, with its
 * neighbours, before the same blocks are changed again, and before the workload ends.
 */
export class MixedWork implements Workload {
  readonly #context: BlockWorkContext<MixedOptions>;
  readonly #disk: BlockDisk;
  readonly #requests: BlockRequests;
  readonly #answers: BlockAnswers;
  readonly #random: Random;
  readonly #model: BlockModel;
  /** Whether the disk has to refuse each change. */
  readonly #isReadOnly: boolean;
  /** From one block of the model to the next on the disk. */
  readonly #stride: number;
  #round = 0;

  /** Throws {@link DeviceError} `ERR_DEVICE_READ_ONLY` where it changes a disk that the profile does not say is so. */
  constructor(disk: BlockDisk, context: BlockWorkContext<MixedOptions>) {
    const { reads, conditions } = context.options;
    this.#isReadOnly = conditions.includes('read-only');
    if (reads < 1 && !this.#isReadOnly) disk.checkWritable();
    this.#context = context;
    this.#disk = disk;
    this.#random = new Random(context.seed);
    this.#requests = new BlockRequests(disk, context, (request, outcome, at) => this.#end(request, outcome, at));
    this.#answers = new BlockAnswers(context, this.#requests.mismatches);
    const blocks = Math.min(MOST_BLOCKS, wholeBlocks(this.#requests.blocks, disk));
    this.#stride = Math.max(1, Math.floor(this.#requests.blocks / blocks));
    this.#model = new BlockModel(blocks);
  }

  get done(): WorkDone {
    return this.#requests.done;
  }

  async run(): Promise<void> {
    const { requests: all } = this.#context;
    const requests = this.#requests;
    for (let made = 0; requests.completed < all;) {
      // A disk that shrank has fewer blocks than the model.
      this.#model.resize(Math.ceil(wholeBlocks(requests.blocks, this.#disk) / this.#stride));
      if (requests.submitAgain()) while (made < all && this.#make(all - made)) made++;
      await requests.turn();
    }
  }

  recover(queue: number, ids: readonly number[]): void {
    this.#requests.recover(queue, ids);
  }

  /**
   * Makes one of the `left` requests. Returns false where there is no room, or each block that was drawn is busy.
   */
  #make(left: number): boolean {
    const { owed } = this.#model;
    if (left <= owed) return this.#readBack();
    const { reads, flushes, discards, writeZeroes, secureErases, queries, switches, conditions } =
      this.#context.options;
    const { config } = this.#disk;
    if (config.canSetWriteBack && this.#draw() < switches) this.#switch();
    let draw = this.#draw();
    if (config.canFlush && (draw -= flushes) < 0) return this.#ask(wire.VIRTIO_BLK_T_FLUSH);
    if ((draw -= queries) < 0) return this.#ask(this.#query());
    if (conditions.includes('unknown-type') && (draw -= REFUSALS) < 0)
      return this.#ask(UNKNOWN_TYPE, wire.VIRTIO_BLK_S_UNSUPP);
    if (conditions.includes('past-end') && (draw -= REFUSALS) < 0) return this.#passEnd();
    const room = left - 1 - owed;
    if (reads === 1) return this.#read();
    if (config.discard !== undefined && (draw -= discards) < 0) return this.#change(wire.VIRTIO_BLK_T_DISCARD, room);
    if (config.writeZeroes !== undefined && (draw -= writeZeroes) < 0)
      return this.#change(wire.VIRTIO_BLK_T_WRITE_ZEROES, room);
    if (config.secureErase !== undefined && (draw -= secureErases) < 0)
      return this.#change(wire.VIRTIO_BLK_T_SECURE_ERASE, room);
    return this.#draw() < reads ? this.#read() : this.#write(room);
  }

  /** 0 to 1. */
  #draw(): number {
    return this.#random.next() / 2 ** 32;
  }

  #query(): number {
    return this.#disk.config.hasLifetime && this.#random.chance(50)
      ? wire.VIRTIO_BLK_T_GET_LIFETIME
      : wire.VIRTIO_BLK_T_GET_ID;
  }

  #ask(type: number, expected: number = wire.VIRTIO_BLK_S_OK): boolean {
    return this.#requests.submit(type, 0, UNKNOWN_ROUND, undefined, expected);
  }

  /** A request of blocks behind the disk, which has to be refused. */
  #passEnd(): boolean {
    const { blockSize } = this.#context.options;
    const block = Math.ceil(this.#disk.capacity / blockSize) + this.#random.below(1000);
    const { discard } = this.#disk.config;
    if (discard !== undefined && this.#random.chance(33)) {
      const ranges = { runs: [{ block, count: 1 }], flags: 0 };
      return this.#requests.submit(wire.VIRTIO_BLK_T_DISCARD, block, UNDEFINED_ROUND, ranges, wire.VIRTIO_BLK_S_IOERR);
    }
    const type = this.#random.chance(50) ? wire.VIRTIO_BLK_T_IN : wire.VIRTIO_BLK_T_OUT;
    return this.#requests.submit(type, block, UNDEFINED_ROUND, undefined, wire.VIRTIO_BLK_S_IOERR);
  }

  /** Reads a block at random; half the time one that is to be read back. */
  #read(): boolean {
    if (this.#random.chance(50) && this.#readBack()) return true;
    return this.#readOf(this.#model.readable(this.#random));
  }

  /** Reads the next block that is to be read back. Returns false where none may be read now. */
  #readBack(): boolean {
    return this.#readOf(this.#model.nextOwed());
  }

  #readOf(at: number): boolean {
    if (at < 0) return false;
    if (!this.#requests.submit(wire.VIRTIO_BLK_T_IN, at * this.#stride, this.#model.rounds[at]!)) return false;
    this.#model.beginRead(at);
    return true;
  }

  /** Writes a block, or reads where none may be written now. `room` is how many reads may follow. */
  #write(room: number): boolean {
    const at = room < this.#model.costOf(1) ? -1 : this.#model.changeable(this.#random, this.#isReadOnly);
    if (at < 0) return this.#read();
    const run = { block: at, count: 1 };
    if (!this.#requests.submit(wire.VIRTIO_BLK_T_OUT, at * this.#stride, this.#round, undefined, this.#expected()))
      return false;
    this.#model.beginChange(run);
    this.#round = (this.#round + 1) % ROUNDS;
    return true;
  }

  /** Discards, zeroes or erases ranges, or reads where there are none for it. */
  #change(type: number, room: number): boolean {
    const runs = this.#takeRuns(room);
    if (runs.length === 0) return this.#read();
    const onDisk = runs.map(({ block, count }) => ({ block: block * this.#stride, count }));
    const mayUnmap = type === wire.VIRTIO_BLK_T_WRITE_ZEROES && this.#random.chance(50);
    const ranges = { runs: onDisk, flags: mayUnmap ? wire.VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0 };
    if (this.#requests.submit(type, onDisk[0]!.block, UNKNOWN_ROUND, ranges, this.#expected())) return true;
    for (const run of runs) this.#model.cancelChange(run);
    return false;
  }

  /** Takes ranges that do not overlap, for a change that owes at most `room` reads. */
  #takeRuns(room: number): BlockRun[] {
    const model = this.#model;
    const runs: BlockRun[] = [];
    // Between blocks of the model that are apart there is nothing that is known.
    const longest = this.#stride === 1 ? MOST_RUN : 1;
    for (let i = this.#random.below(Math.min(MOST_RUNS, this.#disk.drivers[0]!.mostRanges)); i >= 0; i--) {
      const most = Math.min(1 + this.#random.below(longest), room - model.costOf(0));
      const block = most < 1 ? -1 : model.changeable(this.#random, this.#isReadOnly);
      if (block < 0) break;
      const run = { block, count: model.runFrom(block, most, this.#isReadOnly) };
      model.beginChange(run);
      room -= model.costOf(run.count);
      runs.push(run);
    }
    return runs;
  }

  /** The status that has to come of a change. */
  #expected(): number {
    return this.#isReadOnly ? wire.VIRTIO_BLK_S_IOERR : wire.VIRTIO_BLK_S_OK;
  }

  /** Switches the cache, and compares what the disk says then. */
  #switch(): void {
    const isWriteBack = !this.#disk.config.isWriteBack;
    this.#disk.setWriteBack(isWriteBack);
    if (this.#disk.config.isWriteBack === isWriteBack) return;
    const detail = `the disk says ${isWriteBack ? 0 : 1} after ${isWriteBack ? 1 : 0} was written (5.2.5)`;
    this.#answers.note('data', 'field writeback', detail, this.#requests.completed + 1);
  }

  #end(request: BlockRequest, outcome: BlockOutcome, address: number): void {
    const { type, block, round, ranges } = request;
    if (type === wire.VIRTIO_BLK_T_IN) {
      // One that had to be refused is behind the disk, and not of the model.
      if (request.expected === wire.VIRTIO_BLK_S_OK) this.#endRead(block, round, outcome, address);
    } else if (ranges !== undefined || type === wire.VIRTIO_BLK_T_OUT) {
      if (round !== UNDEFINED_ROUND) this.#endChange(request, outcome);
    } else if (outcome === 'done' && type !== wire.VIRTIO_BLK_T_FLUSH)
      this.#answers.check(type, address, this.#requests.completed + 1);
  }

  #endRead(block: number, round: number, outcome: BlockOutcome, address: number): void {
    const at = block / this.#stride;
    this.#model.endRead(at);
    if (outcome === 'done' && round === UNKNOWN_ROUND) this.#compare(at, block, address);
  }

  /** After an error a block may have its old data, the new, or a part of each. */
  #endChange({ type, block, round, ranges }: BlockRequest, outcome: BlockOutcome): void {
    let left: number | undefined = UNDEFINED_ROUND;
    if (outcome === 'refused') left = undefined;
    else if (outcome === 'done' && type === wire.VIRTIO_BLK_T_OUT) left = round;
    else if (outcome === 'done' && type === wire.VIRTIO_BLK_T_WRITE_ZEROES) left = ZERO_ROUND;
    for (const run of ranges?.runs ?? [{ block, count: 1 }])
      this.#model.endChange({ block: run.block / this.#stride, count: run.count }, left);
  }

  /** Compares a block that no request wrote with what a read gave before. */
  #compare(at: number, block: number, address: number): void {
    const { memory, options } = this.#context;
    const checksum = checksumOf(memory.u32, address, options.blockSize);
    const before = this.#model.checksums[at]!;
    this.#model.checksums[at] = checksum;
    if (before < 0 || before === checksum) return;
    const detail = 'the data differs from what an earlier read gave, and no request wrote in between';
    const what = `read of sector ${(block * options.blockSize) / wire.SECTOR_SIZE}`;
    this.#answers.note('data', what, detail, this.#requests.completed + 1);
  }
}

/** A checksum of 32 bits (FNV-1a over words). */
function checksumOf(words: Uint32Array, address: number, length: number): number {
  let sum = 0x811c_9dc5;
  for (let i = address / 4, end = (address + length) / 4; i < end; i++) sum = Math.imul(sum ^ words[i]!, 0x0100_0193);
  return sum >>> 0;
}
