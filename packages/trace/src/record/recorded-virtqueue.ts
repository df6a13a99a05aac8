import {
  ForwardingVirtqueue,
  type BrokenReason,
  type ScatterList,
  type UsedBatch,
  type Virtqueue,
} from '@virtio-platform/core/queue';
import { KIND } from '../event-kind.ts';
import type { Recorder } from '../recorder.ts';

/** How much of a pool is in use. */
export interface PoolUse {
  readonly slots: number;
  readonly used: number;
}

/** The driver's end of a queue whose calls are recorded. Hot: no allocation. */
export class RecordedVirtqueue extends ForwardingVirtqueue {
  readonly #recorder: Recorder;
  /** Of the pool that its buffers are copied through; of a recorder with `full` detail. */
  readonly #pool: (() => PoolUse | undefined) | undefined;
  #isBroken = false;
  /** Where the buffers end that the device was shown. */
  #shown: number;

  /** Owns `inner`. */
  constructor(inner: Virtqueue, recorder: Recorder, pool?: () => PoolUse | undefined) {
    super(inner);
    this.#recorder = recorder;
    this.#shown = inner.nextAvailable;
    this.#pool = recorder.detail === 'full' ? pool : undefined;
  }

  override add(list: ScatterList): number {
    const id = super.add(list);
    this.#recorder.record(
      KIND.add,
      this.index,
      id,
      list.count > 0 ? list.address[0]! : -1,
      0,
      0,
      list.bytes,
      (list.readable << 16) | list.count,
    );
    return id;
  }

  override publish(): boolean {
    const isWanted = super.publish();
    const next = this.nextAvailable;
    // Drivers publish in each round, mostly nothing.
    if (next === this.#shown) return isWanted;
    this.#shown = next;
    const recorder = this.#recorder;
    recorder.tick();
    recorder.mark(KIND.publish, this.index, isWanted ? 1 : 0, 0, next);
    if (this.#pool !== undefined) this.#notePool();
    return isWanted;
  }

  override takeUsed(batch: UsedBatch): number {
    const count = super.takeUsed(batch);
    if (count > 0) this.#noteTaken(batch, count);
    else if (this.broken !== undefined) this.#noteBroken();
    return count;
  }

  override enableNotifications(): boolean {
    return this.#enabled(super.enableNotifications());
  }

  override enableNotificationsDelayed(): boolean {
    return this.#enabled(super.enableNotificationsDelayed());
  }

  override markBroken(reason: BrokenReason): void {
    super.markBroken(reason);
    this.#noteBroken();
  }

  override reset(): number[] {
    const ids = super.reset();
    this.#isBroken = false;
    this.#shown = this.nextAvailable;
    this.#recorder.tick();
    for (const id of ids) this.#recorder.mark(KIND.takeBack, this.index, id, 0, 0);
    return ids;
  }

  #noteTaken(batch: UsedBatch, count: number): void {
    const recorder = this.#recorder;
    recorder.tick();
    recorder.markBatch(KIND.takeUsed, this.index, batch.ids, batch.written, count, this.nextUsed);
    if (this.#pool !== undefined) this.#notePool();
  }

  #notePool(): void {
    const pool = this.#pool!();
    if (pool !== undefined) this.#recorder.mark(KIND.pool, this.index, 0, pool.slots, pool.used);
  }

  #enabled(isQuiet: boolean): boolean {
    this.#recorder.mark(KIND.enableNotifications, this.index, isQuiet ? 1 : 0, 0, 0);
    return isQuiet;
  }

  #noteBroken(): void {
    if (this.#isBroken) return;
    this.#isBroken = true;
    const { code, detail } = this.broken!;
    this.#recorder.note(KIND.broken, this.index, 0, `${code}: ${detail}`);
  }
}
