import type { DmaStatistics } from '@virtio-platform/core/dma';
import type {
  BrokenReason,
  PublicationCounts,
  RingInspection,
  RingMemory,
  ScatterList,
  UsedBatch,
  VirtqueueState,
  QueueAddresses,
  Virtqueue,
} from '@virtio-platform/core/queue';
import type { SanitizerState } from '../sanitizer-state.ts';
import type { RequestTracker } from '../request-tracker.ts';
import type { QueueOwner } from '../tracked-mapping.ts';

/** The driver's end of a queue that checks every request when it is added and when it comes back. */
export class SanitizedVirtqueue implements Virtqueue {
  readonly #inner: Virtqueue;
  readonly #state: SanitizerState;
  readonly #owner: QueueOwner;
  readonly #requests: RequestTracker;

  /**
   * Owns `inner`, whose mapping is a sanitized one. `requests` are those of the queue, which may have been saved and
   * restored.
   */
  constructor(inner: Virtqueue, state: SanitizerState, owner: QueueOwner, requests: RequestTracker) {
    this.#inner = inner;
    this.#state = state;
    this.#owner = owner;
    this.#requests = requests;
  }

  get index(): number {
    return this.#inner.index;
  }

  get size(): number {
    return this.#inner.size;
  }

  get addresses(): QueueAddresses {
    return this.#inner.addresses;
  }

  get memory(): RingMemory {
    return this.#inner.memory;
  }

  get outstanding(): number {
    return this.#inner.outstanding;
  }

  get broken(): BrokenReason | undefined {
    return this.#inner.broken;
  }

  get dma(): DmaStatistics {
    return this.#inner.dma;
  }

  get publications(): Readonly<PublicationCounts> {
    return this.#inner.publications;
  }

  inspect(): RingInspection {
    return this.#inner.inspect();
  }

  get nextAvailable(): number {
    return this.#inner.nextAvailable;
  }
  get nextUsed(): number {
    return this.#inner.nextUsed;
  }

  add(list: ScatterList): number {
    const state = this.#state;
    state.reportOldMappings();
    this.#requests.reportResetLeaks();
    state.request = state.nextRequest();
    state.requestMappings = [];
    try {
      const head = this.#inner.add(list);
      if (head >= 0) this.#requests.added(head, list);
      return head;
    } finally {
      state.request = 0;
    }
  }

  publish(): boolean {
    return this.#inner.publish();
  }

  takeUsed(batch: UsedBatch): number {
    this.#state.reportOldMappings();
    const count = this.#takingBack(() => this.#inner.takeUsed(batch));
    for (let i = 0; i < count; i++) this.#requests.returned(batch.ids[i]!, batch.written[i]!);
    return count;
  }

  enableNotifications(): boolean {
    return this.#inner.enableNotifications();
  }

  enableNotificationsDelayed(): boolean {
    return this.#inner.enableNotificationsDelayed();
  }

  disableNotifications(): void {
    this.#inner.disableNotifications();
  }

  markBroken(reason: BrokenReason): void {
    this.#inner.markBroken(reason);
  }

  reset(): number[] {
    const { outstanding } = this.#inner;
    if (this.#state.isEnabled(this.#owner)) {
      const inFlight = `with ${outstanding} buffers in flight`;
      const what = `queue ${this.index} is reset, ${inFlight}, while the device has it enabled`;
      this.#state.report('DMA-RING-IN-USE', what, { owner: this.#owner });
    }
    const ids = this.#takingBack(() => this.#inner.reset());
    this.#requests.reset();
    return ids;
  }

  resize(size: number): void {
    this.#requests.reportResetLeaks();
    this.#inner.resize(size);
  }

  save(): VirtqueueState {
    return this.#inner.save();
  }

  dispose(): void {
    this.#takingBack(() => this.#inner.dispose());
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
