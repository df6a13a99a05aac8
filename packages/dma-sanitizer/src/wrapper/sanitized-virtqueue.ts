import { ForwardingVirtqueue, type ScatterList, type UsedBatch, type Virtqueue } from '@virtio-platform/core/queue';
import type { SanitizerState } from '../sanitizer-state.ts';
import type { RequestTracker } from '../request-tracker.ts';
import type { QueueOwner } from '../tracked-mapping.ts';

/** The driver's end of a queue that checks every request when it is added and when it comes back. */
export class SanitizedVirtqueue extends ForwardingVirtqueue {
  readonly #state: SanitizerState;
  readonly #owner: QueueOwner;
  readonly #requests: RequestTracker;

  /**
   * Owns `inner`, whose mapping is a sanitized one. `requests` are those of the queue, which may have been saved and
   * restored.
   */
  constructor(inner: Virtqueue, state: SanitizerState, owner: QueueOwner, requests: RequestTracker) {
    super(inner);
    this.#state = state;
    this.#owner = owner;
    this.#requests = requests;
  }

  override add(list: ScatterList): number {
    const state = this.#state;
    state.findings.settle();
    state.reportOldMappings();
    this.#requests.reportResetLeaks();
    state.request = state.nextRequest();
    state.requestMappings = [];
    try {
      const head = super.add(list);
      if (head >= 0) this.#requests.added(head, list);
      return head;
    } finally {
      state.request = 0;
    }
  }

  override publish(): boolean {
    this.#state.findings.settle();
    return super.publish();
  }

  override takeUsed(batch: UsedBatch): number {
    this.#state.findings.settle();
    this.#state.reportOldMappings();
    const count = this.#takingBack(() => super.takeUsed(batch));
    for (let i = 0; i < count; i++) this.#requests.returned(batch.ids[i]!, batch.written[i]!);
    return count;
  }

  override reset(): number[] {
    const { outstanding } = this;
    if (this.#state.isEnabled(this.#owner)) {
      const inFlight = `with ${outstanding} buffers in flight`;
      const what = `queue ${this.index} is reset, ${inFlight}, while the device has it enabled`;
      this.#state.report('DMA-RING-IN-USE', what, { owner: this.#owner });
    }
    const ids = this.#takingBack(() => super.reset());
    this.#requests.reset();
    return ids;
  }

  override resize(size: number): void {
    this.#requests.reportResetLeaks();
    super.resize(size);
  }

  override dispose(): void {
    this.#takingBack(() => super.dispose());
    this.#requests.reset();
  }

  #takingBack<T>(operation: () => T): T {
    this.#state.isTakingBack = true;
    try {
      return operation();
    } finally {
      this.#state.isTakingBack = false;
    }
  }
}
