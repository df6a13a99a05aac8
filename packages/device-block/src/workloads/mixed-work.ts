import type { MismatchKind, WorkDone, Workload } from '@virtio-platform/core';
import { Random } from '@virtio-platform/device-kit';
import type { BlockDisk } from '../block-disk.ts';
import {
  BlockRequests,
  UNKNOWN_ROUND,
  type BlockRequest,
  type BlockWorkContext,
  type BlockWorkOptions,
} from './block-requests.ts';
import { SECTOR_SIZE, VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT } from '../layout.ts';
import { wholeBlocks } from './write-read-verify.ts';

/** The options of the workload `mixed`. */
export interface MixedOptions extends BlockWorkOptions {
  /** The part of the requests that read, 0 to 1. */
  readonly reads: number;
  /** The part of the requests that flush, 0 to 1. */
  readonly flushes: number;
}

/** Blocks that a workload uses: as many as the disk has, but no more than this, spread over all of it. */
const MOST_BLOCKS = 0x1_0000;
/** Draws after which a request that finds each block busy waits for the next round. */
const MOST_DRAWS = 8;

/**
 * Random reads, writes and flushes against a model of the disk: what was written last to each block, and of a block
 * that was only read, a checksum of what it had. No block has a write and another request in flight at once, since the
 * device may serve them in any order.
 */
export class MixedWork implements Workload {
  readonly #context: BlockWorkContext<MixedOptions>;
  readonly #disk: BlockDisk;
  readonly #requests: BlockRequests;
  readonly #random: Random;
  readonly #canFlush: boolean;
  /** By block of the model: the round that wrote it, and the checksum of what a read gave before. */
  readonly #rounds: Uint32Array;
  readonly #checksums: Float64Array;
  /** By block of the model: reads in flight, or -1 for a write. */
  readonly #busy: Int32Array;
  /** From one block of the model to the next on the disk. */
  readonly #stride: number;
  #round = 0;

  /** `canFlush`: whether FLUSH was accepted. Throws {@link DeviceError} `ERR_DEVICE_READ_ONLY` where it writes. */
  constructor(disk: BlockDisk, context: BlockWorkContext<MixedOptions>, canFlush: boolean) {
    if (context.options.reads < 1) disk.checkWritable();
    this.#context = context;
    this.#disk = disk;
    this.#canFlush = canFlush;
    this.#random = new Random(context.seed);
    this.#requests = new BlockRequests(disk, context, (request, isOk, address) => this.#end(request, isOk, address));
    const blocks = Math.min(MOST_BLOCKS, wholeBlocks(this.#requests.blocks, disk));
    this.#stride = Math.max(1, Math.floor(this.#requests.blocks / blocks));
    this.#rounds = new Uint32Array(blocks).fill(UNKNOWN_ROUND);
    this.#checksums = new Float64Array(blocks).fill(-1);
    this.#busy = new Int32Array(blocks);
  }

  get done(): WorkDone {
    return this.#requests.done;
  }

  async run(): Promise<void> {
    const { requests: all } = this.#context;
    const requests = this.#requests;
    for (let made = 0; requests.completed < all;) {
      if (requests.submitAgain()) while (made < all && this.#make()) made++;
      await requests.turn();
    }
  }

  recover(queue: number, ids: readonly number[]): void {
    this.#requests.recover(queue, ids);
  }

  /** Makes one request. Returns false where there is no room, or each block that was drawn is busy. */
  #make(): boolean {
    const { reads, flushes } = this.#context.options;
    const draw = this.#random.next() / 2 ** 32;
    if (this.#canFlush && draw < flushes) return this.#requests.submit(VIRTIO_BLK_T_FLUSH, 0, UNKNOWN_ROUND);
    const isRead = this.#random.next() / 2 ** 32 < reads;
    const at = this.#freeBlock(isRead);
    if (at < 0) return false;
    const round = isRead ? this.#rounds[at]! : this.#round;
    const type = isRead ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT;
    if (!this.#requests.submit(type, at * this.#stride, round)) return false;
    if (!isRead) this.#round = (this.#round + 1) % UNKNOWN_ROUND;
    this.#busy[at] = isRead ? this.#busy[at]! + 1 : -1;
    return true;
  }

  /** A block of the model that may get such a request, or -1. */
  #freeBlock(isRead: boolean): number {
    // A disk that shrank has fewer blocks than the model.
    const within = Math.min(this.#busy.length, Math.ceil(this.#requests.blocks / this.#stride));
    wholeBlocks(within, this.#disk);
    for (let draws = 0; draws < MOST_DRAWS; draws++) {
      const at = this.#random.below(within);
      const busy = this.#busy[at]!;
      if (busy === 0 || (isRead && busy > 0)) return at;
    }
    return -1;
  }

  #end({ type, block, round }: BlockRequest, isOk: boolean, address: number): void {
    if (type === VIRTIO_BLK_T_FLUSH) return;
    const at = block / this.#stride;
    if (type === VIRTIO_BLK_T_OUT) {
      this.#busy[at] = 0;
      // After an error the block may have its old data, the new, or a part of each.
      this.#rounds[at] = isOk ? round : UNKNOWN_ROUND;
      this.#checksums[at] = -1;
      return;
    }
    this.#busy[at]!--;
    if (isOk && round === UNKNOWN_ROUND) this.#compare(at, block, address);
  }

  /** Compares a block that no request wrote with what a read gave before. */
  #compare(at: number, block: number, address: number): void {
    const { memory, options, queues } = this.#context;
    const checksum = checksumOf(memory.u32, address, options.blockSize);
    const before = this.#checksums[at]!;
    this.#checksums[at] = checksum;
    if (before < 0 || before === checksum) return;
    const kind: MismatchKind = 'data';
    this.#requests.mismatches.note(kind, () => ({
      request: this.#requests.completed + 1,
      what: `read of sector ${(block * options.blockSize) / SECTOR_SIZE}`,
      detail: 'the data differs from what an earlier read gave, and no request wrote in between',
      queue: queues[0]!.queue.index,
      buffer: null,
      address: null,
      deviceAddress: null,
      difference: null,
      status: 0,
      used: null,
    }));
  }
}

/** A checksum of 32 bits (FNV-1a over words). */
function checksumOf(words: Uint32Array, address: number, length: number): number {
  let sum = 0x811c_9dc5;
  for (let i = address / 4, end = (address + length) / 4; i < end; i++) sum = Math.imul(sum ^ words[i]!, 0x0100_0193);
  return sum >>> 0;
}
