import { ForwardingDeviceQueue, type DescriptorChain, type DeviceQueue } from '@virtio-platform/core/queue';
import { KIND } from '../event-kind.ts';
import type { Recorder } from '../recorder.ts';

/** The device's end of a queue whose calls are recorded. Hot: no allocation. */
export class RecordedDeviceQueue extends ForwardingDeviceQueue {
  readonly #index: number;
  readonly #recorder: Recorder;
  /** Buffers that were pushed and not shown. */
  #pushed = 0;
  /** Whether the next buffer is the first one since the device showed others: its time is taken. */
  #isResting = true;

  /** Owns `inner`, the queue with this index. */
  constructor(inner: DeviceQueue, index: number, recorder: Recorder) {
    super(inner);
    this.#index = index;
    this.#recorder = recorder;
  }

  override pop(chain: DescriptorChain): boolean {
    if (!super.pop(chain)) return false;
    const recorder = this.#recorder;
    if (this.#isResting) recorder.tick();
    this.#isResting = false;
    recorder.record(
      KIND.pop,
      this.#index,
      chain.head,
      -1,
      chain.low[0]!,
      chain.high[0]!,
      chain.readableBytes + chain.writableBytes,
      (chain.readable << 16) | chain.count,
    );
    return true;
  }

  override push(head: number, written: number): void {
    super.push(head, written);
    this.#pushed++;
    this.#recorder.mark(KIND.push, this.#index, head, written, 0);
  }

  override flush(): boolean {
    const isWanted = super.flush();
    this.#isResting = true;
    if (this.#pushed > 0) this.#noteFlush(isWanted);
    return isWanted;
  }

  #noteFlush(isWanted: boolean): void {
    const recorder = this.#recorder;
    recorder.tick();
    recorder.mark(KIND.flush, this.#index, isWanted ? 1 : 0, this.#pushed, 0);
    if (isWanted) recorder.mark(KIND.interrupt, this.#index, 0, 0, 0);
    this.#pushed = 0;
  }
}
