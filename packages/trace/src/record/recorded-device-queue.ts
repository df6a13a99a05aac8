import type { BrokenReason, DescriptorChain, DeviceQueue, DeviceQueueState } from '@virtio-platform/core/queue';
import { KIND } from '../event-kind.ts';
import type { Recorder } from '../recorder.ts';

/** The device's end of a queue whose calls are recorded. Hot: no allocation. */
export class RecordedDeviceQueue implements DeviceQueue {
  readonly size: number;
  readonly longestChain: number;
  readonly #inner: DeviceQueue;
  readonly #index: number;
  readonly #recorder: Recorder;
  /** Buffers that were pushed and not shown. */
  #pushed = 0;

  /** Owns `inner`, the queue with this index. */
  constructor(inner: DeviceQueue, index: number, recorder: Recorder) {
    this.size = inner.size;
    this.longestChain = inner.longestChain;
    this.#inner = inner;
    this.#index = index;
    this.#recorder = recorder;
  }

  get longTables(): number {
    return this.#inner.longTables;
  }

  get broken(): BrokenReason | undefined {
    return this.#inner.broken;
  }

  get inFlight(): number {
    return this.#inner.inFlight;
  }

  pop(chain: DescriptorChain): boolean {
    const isPopped = this.#inner.pop(chain);
    if (isPopped) {
      const { head, low, high, count, readable, readableBytes, writableBytes } = chain;
      const bytes = readableBytes + writableBytes;
      const segments = (readable << 16) | count;
      this.#recorder.record(KIND.pop, this.#index, head, -1, low[0]!, high[0]!, bytes, segments);
    }
    return isPopped;
  }

  push(head: number, written: number): void {
    this.#inner.push(head, written);
    this.#pushed++;
    this.#recorder.record(KIND.push, this.#index, head, -1, 0, 0, written, 0);
  }

  flush(): boolean {
    const isWanted = this.#inner.flush();
    if (this.#pushed > 0) this.#recorder.record(KIND.flush, this.#index, isWanted ? 1 : 0, -1, 0, 0, this.#pushed, 0);
    this.#pushed = 0;
    return isWanted;
  }

  enableNotifications(): boolean {
    return this.#inner.enableNotifications();
  }

  disableNotifications(): void {
    this.#inner.disableNotifications();
  }

  awaitsNotification(): boolean {
    return this.#inner.awaitsNotification();
  }

  suppressesNotifications(): boolean {
    return this.#inner.suppressesNotifications();
  }

  save(): DeviceQueueState {
    return this.#inner.save();
  }
}
