import type { DriverContext, DriverQueue } from '@virtio-platform/core';
import { CACHE_LINE_SIZE, DmaDirection } from '@virtio-platform/core/dma';
import { ScatterList, UsedBatch, type Virtqueue } from '@virtio-platform/core/queue';
import { openBufferArea, type BufferArea } from '@virtio-platform/device-kit';
import type { GuestPages } from './guest-pages.ts';
import { CMD_ID_SIZE, FIRST_CMD_ID, VIRTIO_BALLOON_CMD_ID_DONE, VIRTIO_BALLOON_CMD_ID_STOP } from './layout.ts';

/** Pages of the guest in a block: in place of the largest blocks of Linux's page allocator. */
const BLOCK_PAGES = 4;
/** Blocks that are hinted at most before the device is done. Linux hints all that are free. */
const MOST_BLOCKS = 64;
/** What a buffer of the queue is, in place of the address of a block. */
const START = -1;
const STOP = -2;

/**
 * The driver's end of free_page_vq, as Linux has it: for each command id of the device the id, free blocks as buffers
 * of their own, and the id STOP. Hinted blocks are not used until the device is done.
 */
export class HintQueue {
  readonly queue: Virtqueue;
  readonly #context: DriverContext;
  readonly #pages: GuestPages;
  readonly #commands: BufferArea;
  readonly #list = new ScatterList(1);
  readonly #batch: UsedBatch;
  /** By the id of a buffer: the address of its block, or what it is else. */
  readonly #entries: Float64Array;
  /** Blocks that came back. */
  readonly #held: number[] = [];
  /** What a queue reset returned, or could not be added, in order. */
  readonly #waiting: number[] = [];
  #received: number = VIRTIO_BALLOON_CMD_ID_STOP;
  #active: number = VIRTIO_BALLOON_CMD_ID_STOP;
  #isHinting = false;
  /** Commands that the device has. */
  #commandsOut = 0;
  #blocksOut = 0;
  #rounds = 0;

  /** Throws {@link DmaError}, and then nothing stays allocated. */
  constructor(context: DriverContext, { queue, mapping }: DriverQueue, pages: GuestPages) {
    this.queue = queue;
    this.#context = context;
    this.#pages = pages;
    this.#batch = new UsedBatch(Math.min(queue.size, 64));
    this.#entries = new Float64Array(queue.size);
    const bytes = 2 * CACHE_LINE_SIZE;
    this.#commands = openBufferArea(context.memory, mapping, bytes, DmaDirection.ToDevice, context.buffers);
  }

  /** Rounds that ended with the id STOP. */
  get rounds(): number {
    return this.#rounds;
  }

  /** Hinted blocks, which the guest does not use. */
  get hinted(): number {
    return this.#held.length + this.#blocksOut;
  }

  /** The device's command id, as read from its configuration. Says what it is in words, where it is another one. */
  receive(id: number): string | undefined {
    if (id === this.#received) return undefined;
    this.#received = id;
    if (id === VIRTIO_BALLOON_CMD_ID_DONE) this.#release();
    const named = id === VIRTIO_BALLOON_CMD_ID_STOP ? 'STOP' : id === VIRTIO_BALLOON_CMD_ID_DONE ? 'DONE' : id;
    return `free_page_hint_cmd_id to ${named}`;
  }

  /**
   * Adds at most `most` buffers of what the round has next. Returns how many, or a negative reason: tried again with
   * the next call.
   */
  step(most: number): number {
    let added = 0;
    for (; added < most; added++) {
      const entry = this.#waiting[0] ?? this.#next();
      if (entry === undefined) break;
      const reason = this.#add(entry);
      if (reason < 0) {
        if (this.#waiting.length === 0) this.#waiting.push(entry);
        return added > 0 ? added : reason;
      }
      if (this.#waiting.length > 0) this.#waiting.shift();
    }
    return added;
  }

  /** Takes back what the device used, and returns how many buffers. */
  poll(): number {
    const came = this.queue.takeUsed(this.#batch);
    for (let i = 0; i < came; i++) {
      const entry = this.#entries[this.#batch.ids[i]!]!;
      this.#forget(entry);
      if (entry === STOP) this.#rounds++;
      if (entry >= 0) this.#held.push(entry);
    }
    if (came > 0 && this.#received === VIRTIO_BALLOON_CMD_ID_DONE) this.#release();
    return came;
  }

  /** A queue reset returned the buffers with these ids. */
  recover(ids: readonly number[]): void {
    const entries = ids.map((id) => this.#entries[id]!);
    for (const entry of entries) this.#forget(entry);
    this.#waiting.push(...entries);
    this.#waiting.sort((a, b) => rank(a) - rank(b));
  }

  /** What the buffer with this id is, as `DriverHalf.describeBuffer` states it. */
  describeBuffer(id: number): string {
    const entry = this.#entries[id]!;
    if (entry === START) return `hint command ${this.#active}`;
    if (entry === STOP) return 'hint command STOP';
    return `hint of the free block at 0x${entry.toString(16)}`;
  }

  dispose(): void {
    this.#commands.release();
  }

  /** The next buffer of the round; `undefined` where there is none to add now. */
  #next(): number | undefined {
    if (!this.#isHinting) {
      const isAsked = this.#received >= FIRST_CMD_ID && this.#received !== this.#active;
      // Each command has one place in memory: the device has to give it back first.
      if (!isAsked || this.#commandsOut > 0) return undefined;
      this.#isHinting = true;
      this.#active = this.#received;
      return START;
    }
    const isOver = this.#received !== this.#active || this.hinted >= MOST_BLOCKS;
    const block = isOver ? -1 : this.#pages.take(BLOCK_PAGES);
    if (block >= 0) return block;
    this.#isHinting = false;
    return STOP;
  }

  #add(entry: number): number {
    const list = this.#list;
    list.clear();
    if (entry >= 0) list.addWritable(entry, BLOCK_PAGES * this.#pages.size);
    else this.#addCommand(entry === START ? 0 : CACHE_LINE_SIZE, entry === START ? this.#active : 0);
    const head = this.queue.add(list);
    if (head < 0) return head;
    this.#entries[head] = entry;
    if (entry >= 0) this.#blocksOut++;
    else this.#commandsOut++;
    return 0;
  }

  #addCommand(offset: number, id: number): void {
    const { memory, byteOrder } = this.#context;
    const { address, region } = this.#commands;
    memory.view.setUint32(address + offset, id, byteOrder === 'little');
    if (region === undefined) return this.#list.addReadable(address + offset, CMD_ID_SIZE);
    region.syncForDevice(offset, CMD_ID_SIZE);
    this.#list.addReadableRegion(region, offset, CMD_ID_SIZE);
  }

  #forget(entry: number): void {
    if (entry >= 0) this.#blocksOut--;
    else this.#commandsOut--;
  }

  /** The device is done: what came back is free again, and each block that comes later will be. */
  #release(): void {
    for (let block = this.#held.pop(); block !== undefined; block = this.#held.pop()) this.#pages.give(block);
  }
}

/** The place of a buffer in a round: the command that starts it comes first, and the one that stops it last. */
function rank(entry: number): number {
  return entry === START ? 0 : entry === STOP ? 2 : 1;
}
