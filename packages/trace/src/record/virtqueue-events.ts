import type {
  BrokenReason,
  BufferLife,
  ScatterList,
  TakenBuffers,
  Virtqueue,
  VirtqueueRecorder,
} from '@virtio-platform/core/queue';
import { KIND } from '../event-kind.ts';
import { EACH_BUFFER, EACH_OF, type Recorder } from '../recorder.ts';

/** How much of a pool is in use. */
export interface PoolUse {
  readonly slots: number;
  readonly used: number;
}

/**
 * Records what the driver's end of a queue does. Of a batch, a recorder with `flight` detail is told of the first
 * buffers one by one; it finds the others in what the end still knows of them. Hot: no allocation.
 */
export class VirtqueueEvents implements VirtqueueRecorder {
  readonly each: number;
  readonly #recorder: Recorder;
  readonly #end: Virtqueue;
  readonly #queue: number;
  /** Of the pool that its buffers are copied through; of a recorder with `full` detail. */
  readonly #pool: (() => PoolUse | undefined) | undefined;
  /** Buffers whose `add` is recorded. */
  #seen = 0;

  /** Of the driver's end of a queue, which calls it from `queue.record` on. */
  constructor(queue: Virtqueue, recorder: Recorder, pool?: () => PoolUse | undefined) {
    this.each = EACH_OF[recorder.detail];
    this.#end = queue;
    this.#queue = queue.index;
    this.#recorder = recorder;
    this.#pool = recorder.detail === 'full' ? pool : undefined;
  }

  begin(added: number): void {
    this.#seen = added;
    if (this.each === EACH_BUFFER) return;
    this.#recorder.followQueue(this.#queue, {
      settle: () => this.#settle(this.#end.added),
      lives: () => livesOf(this.#end),
    });
  }

  end(): void {
    if (this.each < EACH_BUFFER) this.#recorder.unfollowQueue(this.#queue);
  }

  added(id: number, list: ScatterList, added: number): void {
    const isAdded = id >= 0;
    this.#settle(isAdded ? added - 1 : added);
    this.#seen = added;
    const address = list.count > 0 ? list.address[0]! : -1;
    this.#recorder.record(KIND.add, this.#queue, id, address, 0, 0, list.bytes, (list.readable << 16) | list.count);
  }

  published(isWanted: boolean, next: number, added: number): void {
    const recorder = this.#recorder;
    this.#settle(added);
    if (isWanted) recorder.tick();
    else recorder.tickLate();
    recorder.mark(KIND.publish, this.#queue, isWanted ? 1 : 0, 0, next);
    if (this.#pool !== undefined) this.#notePool(this.#pool());
  }

  taken({ count, ids, written }: TakenBuffers, next: number, returned: number): void {
    const recorder = this.#recorder;
    recorder.tickLate();
    if (count <= this.each) recorder.markBatch(KIND.takeUsed, this.#queue, ids, written, count, next);
    else recorder.markRange(KIND.takeUsed, this.#queue, (returned - count) | 0, count, next);
    if (this.#pool !== undefined) this.#notePool(this.#pool());
  }

  enabled(isQuiet: boolean): void {
    this.#recorder.tick();
    this.#recorder.mark(KIND.enableNotifications, this.#queue, isQuiet ? 1 : 0, 0, 0);
  }

  broke({ code, detail }: BrokenReason): void {
    this.#recorder.note(KIND.broken, this.#queue, 0, `${code}: ${detail}`);
  }

  tookBack(ids: readonly number[]): void {
    this.#recorder.tick();
    for (const id of ids) this.#recorder.mark(KIND.takeBack, this.#queue, id, 0, 0);
  }

  /** Records the buffers up to `added` of which nothing was told. */
  #settle(added: number): void {
    const count = (added - this.#seen) | 0;
    if (count <= 0) return;
    this.#recorder.markRange(KIND.add, this.#queue, this.#seen, count, 0);
    this.#seen = added;
  }

  #notePool(pool: PoolUse | undefined): void {
    if (pool !== undefined) this.#recorder.mark(KIND.pool, this.#queue, 0, pool.slots, pool.used);
  }
}

/** What the driver's end knows of its last buffers, and of those that the device returned and it did not take back. */
function livesOf(end: Virtqueue): readonly BufferLife[] {
  const lives = end.lives();
  const used = end.inspect().usedElements.filter(({ state }) => state === 'used');
  const places = new Map(used.map(({ id, length }, at) => [id, { length, returnedAt: (end.returned + at) | 0 }]));
  return lives.map((life) => {
    const place = life.returnedAt === undefined ? places.get(life.id) : undefined;
    return place === undefined ? life : { ...life, returnedAt: place.returnedAt, written: place.length };
  });
}
