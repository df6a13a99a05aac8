import type { DescriptorChain, DeviceQueue, DeviceQueueRecorder } from '@virtio-platform/core/queue';
import { KIND } from '../event-kind.ts';
import { EACH_BUFFER, EACH_OF, type Recorder } from '../recorder.ts';

/**
 * Records what the device's end of a queue does. Where the driver's end has the same recorder, it is told of the first
 * buffers of a batch one by one, and finds the others in what the driver's end knows. What a device does in another
 * order than batch after batch or buffer after buffer, it is told of one by one from the next batch on. Hot: no
 * allocation.
 */
export class DeviceQueueEvents implements DeviceQueueRecorder {
  each: number;
  readonly #recorder: Recorder;
  readonly #queue: number;
  readonly #end: DeviceQueue;
  /** Buffers whose `pop` and whose `push` is recorded. */
  #popped: number;
  #pushed: number;
  /** Buffers pushed at the last `flush`. */
  #shown: number;

  /** Of the device's end of the queue with this index, which calls it from `end.record` on. */
  constructor(end: DeviceQueue, queue: number, recorder: Recorder, isPaired: boolean) {
    // Only of a queue that both ends began together the positions of buffers are the same at both.
    this.each = isPaired && end.popped === 0 ? EACH_OF[recorder.detail] : EACH_BUFFER;
    this.#queue = queue;
    this.#recorder = recorder;
    this.#end = end;
    this.#popped = end.popped;
    this.#pushed = end.pushed;
    this.#shown = end.pushed;
    if (this.each < EACH_BUFFER) recorder.followDevice(queue, () => this.#settle(this.#end.popped, this.#end.pushed));
  }

  popped(chain: DescriptorChain, popped: number): void {
    const { head, bytes, readable, count } = chain;
    const extra = (readable << 16) | count;
    this.#settle(popped - 1, this.#pushed);
    this.#popped = popped;
    this.#recorder.record(KIND.pop, this.#queue, head, -1, chain.low[0]!, chain.high[0]!, bytes, extra);
  }

  pushed(head: number, written: number, pushed: number): void {
    this.#settle(this.#end.popped, pushed - 1);
    this.#pushed = pushed;
    this.#recorder.mark(KIND.push, this.#queue, head, written, 0);
  }

  flushed(isWanted: boolean, popped: number, pushed: number): void {
    const recorder = this.#recorder;
    this.#settle(popped, pushed);
    if (isWanted) recorder.tick();
    else recorder.tickLate();
    recorder.mark(KIND.flush, this.#queue, isWanted ? 1 : 0, (pushed - this.#shown) | 0, 0);
    if (isWanted) recorder.mark(KIND.interrupt, this.#queue, 0, 0, 0);
    this.#shown = pushed;
  }

  /** Records the buffers up to these of which nothing was told. */
  #settle(popped: number, pushed: number): void {
    const recorder = this.#recorder;
    const pops = (popped - this.#popped) | 0;
    const pushes = (pushed - this.#pushed) | 0;
    const isMixed = pops > 0 && pushes > 0;
    if (isMixed && this.#end.servesOneByOne) recorder.markTurns(this.#queue, this.#popped, this.#pushed, pops + pushes);
    else {
      if (pops > 0) recorder.markRange(KIND.pop, this.#queue, this.#popped, pops, 0);
      if (pushes > 0) recorder.markRange(KIND.push, this.#queue, this.#pushed, pushes, 0);
      if (isMixed) this.each = EACH_BUFFER;
    }
    this.#popped = popped;
    this.#pushed = pushed;
  }
}
