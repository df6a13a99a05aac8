import { ForwardingVirtqueue, type ScatterList, type UsedBatch, type Virtqueue } from '@virtio-platform/core/queue';
import { KIND } from '../event-kind.ts';
import type { Recorder } from '../recorder.ts';

/** The driver's end of a queue whose calls are recorded. Hot: no allocation. */
export class RecordedVirtqueue extends ForwardingVirtqueue {
  readonly #recorder: Recorder;
  #isBroken = false;

  /** Owns `inner`. */
  constructor(inner: Virtqueue, recorder: Recorder) {
    super(inner);
    this.#recorder = recorder;
  }

  override add(list: ScatterList): number {
    const id = super.add(list);
    const { count, readable, address, length } = list;
    let bytes = 0;
    for (let i = 0; i < count; i++) bytes += length[i]!;
    const segments = (readable << 16) | count;
    this.#recorder.record(KIND.add, this.index, id, count > 0 ? address[0]! : -1, 0, 0, bytes, segments);
    return id;
  }

  override publish(): boolean {
    const isWanted = super.publish();
    this.#recorder.record(KIND.publish, this.index, isWanted ? 1 : 0, -1, 0, 0, 0, this.nextAvailable);
    return isWanted;
  }

  override takeUsed(batch: UsedBatch): number {
    const count = super.takeUsed(batch);
    for (let i = 0; i < count; i++)
      this.#recorder.record(KIND.takeUsed, this.index, batch.ids[i]!, -1, 0, 0, batch.written[i]!, this.nextUsed);
    if (count === 0 && this.broken !== undefined) this.#noteBroken();
    return count;
  }

  override enableNotifications(): boolean {
    return this.#enabled(super.enableNotifications());
  }

  override enableNotificationsDelayed(): boolean {
    return this.#enabled(super.enableNotificationsDelayed());
  }

  override reset(): number[] {
    const ids = super.reset();
    this.#isBroken = false;
    for (const id of ids) this.#recorder.record(KIND.takeBack, this.index, id, -1, 0, 0, 0, 0);
    return ids;
  }

  #enabled(isQuiet: boolean): boolean {
    this.#recorder.record(KIND.enableNotifications, this.index, isQuiet ? 1 : 0, -1, 0, 0, 0, 0);
    return isQuiet;
  }

  #noteBroken(): void {
    if (this.#isBroken) return;
    this.#isBroken = true;
    const { code, detail } = this.broken!;
    this.#recorder.note(KIND.broken, this.index, 0, `${code}: ${detail}`);
  }
}
