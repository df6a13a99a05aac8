import { ForwardingVirtqueue, type ScatterList, type UsedBatch, type Virtqueue } from '@virtio-platform/core/queue';
import { LatencyHistogram } from '@virtio-platform/trace';
import type { RunReport } from './report.ts';

/** How long the buffers of a run were away, all of its queues together. */
export class RequestTimes {
  readonly #histogram = new LatencyHistogram();

  /** The queue, with its buffers timed. Owns the queue. */
  watch(queue: Virtqueue): Virtqueue {
    return new TimedVirtqueue(queue, this.#histogram);
  }

  /** `null` where no buffer came back. */
  get latency(): RunReport['latency'] {
    const summary = this.#histogram.summary();
    if (summary === undefined) return null;
    return {
      count: summary.count,
      p50: rounded(summary.p50),
      p90: rounded(summary.p90),
      p99: rounded(summary.p99),
      p999: rounded(summary.p999),
      max: rounded(summary.max),
    };
  }
}

/** Microseconds to the nanosecond. */
function rounded(micros: number): number {
  return Math.round(micros * 1000) / 1000;
}

/**
 * Times each buffer from the batch in which it was added until it came back. The clock is read once for a batch: when
 * the first buffer is added behind a publication, and when some come back. Hot: no allocation.
 */
class TimedVirtqueue extends ForwardingVirtqueue {
  readonly #histogram: LatencyHistogram;
  /** By id: when the buffer was added, in milliseconds. */
  #addedAt: Float64Array;
  /** When the first buffer of the batch was added; -1 between two of them. */
  #batchAt = -1;

  constructor(inner: Virtqueue, histogram: LatencyHistogram) {
    super(inner);
    this.#histogram = histogram;
    this.#addedAt = new Float64Array(inner.size);
  }

  override add(list: ScatterList): number {
    if (this.#batchAt < 0) this.#batchAt = performance.now();
    const id = super.add(list);
    if (id >= 0) this.#addedAt[id] = this.#batchAt;
    return id;
  }

  override publish(): boolean {
    this.#batchAt = -1;
    return super.publish();
  }

  override takeUsed(batch: UsedBatch): number {
    const taken = super.takeUsed(batch);
    if (taken === 0) return 0;
    const now = performance.now();
    const histogram = this.#histogram;
    for (let i = 0; i < taken; i++) histogram.add((now - this.#addedAt[batch.ids[i]!]!) * 1000);
    return taken;
  }

  override resize(size: number): void {
    super.resize(size);
    this.#addedAt = new Float64Array(this.size);
  }
}
