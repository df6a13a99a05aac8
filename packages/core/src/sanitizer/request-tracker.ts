import type { DmaLimits } from '../dma/dma-mapping.ts';
import type { ScatterList } from '../queue/scatter-list.ts';
import { ByteFlag } from './byte-shadow.ts';
import { CallStack } from './call-stack.ts';
import { checkSegment, findMapping } from './segment-check.ts';
import type { SanitizerState } from './sanitizer-state.ts';
import { NO_CHECKSUM, type QueueOwner, type TrackedSegment } from './tracked-mapping.ts';

const { Owned, Stale, Shared, Fetched, Written } = ByteFlag;

/** The requests of one queue that are in flight, by descriptor, and whose the bytes of their premapped segments are meanwhile. */
export class RequestTracker {
  readonly #state: SanitizerState;
  readonly #owner: QueueOwner;
  readonly #limits: DmaLimits;
  readonly #inFlight = new Map<number, TrackedSegment[]>();

  constructor(state: SanitizerState, owner: QueueOwner, limits: DmaLimits) {
    this.#state = state;
    this.#owner = owner;
    this.#limits = limits;
  }

  /** A request was added, and is still what `state` says is being added. */
  added(descriptor: number, list: ScatterList): void {
    const state = this.#state;
    const addedAt = new CallStack();
    const segments: TrackedSegment[] = [];
    let mapped = 0;
    for (let i = 0; i < list.count; i++) {
      const isPremapped = list.premapped[i] === 1;
      const mapping = isPremapped
        ? findMapping(state, this.#owner, list, i, descriptor)
        : state.requestMappings[mapped++];
      if (mapping === undefined) continue;
      const segment: TrackedSegment = {
        mapping,
        owner: this.#owner,
        address: list.address[i]!,
        length: list.length[i]!,
        isWritable: i >= list.readable,
        descriptor,
        request: state.request,
        addedAt,
        checksum: NO_CHECKSUM,
      };
      mapping.descriptor = descriptor;
      mapping.lastRequest = state.request;
      segments.push(segment);
      checkSegment(state, segment, this.#limits, isPremapped);
      if (isPremapped) this.#handOver(segment);
      state.mappings.addSegment(segment);
    }
    this.#inFlight.set(descriptor, segments);
  }

  /** The device returned a request, of whose writable segments it wrote the first `written` bytes. */
  returned(descriptor: number, written: number): void {
    const segments = this.#inFlight.get(descriptor) ?? [];
    this.#inFlight.delete(descriptor);
    let left = written;
    for (const segment of segments) {
      const here = segment.isWritable ? Math.min(left, segment.length) : 0;
      left -= here;
      this.#state.mappings.endSegment(segment);
      // What the queue mapped for the request, it has unmapped.
      if (segment.mapping.unmappedAt === undefined) this.#takeBack(segment, here);
    }
  }

  /** The driver took everything back. */
  reset(): void {
    for (const [descriptor, segments] of this.#inFlight) {
      for (const { mapping } of segments) if (mapping.kind === 'buffer') mapping.isReset = true;
      this.returned(descriptor, 0);
    }
  }

  /** The queue is used again: whoever mapped a buffer of before had the time to unmap it. */
  reportResetLeaks(): void {
    const state = this.#state;
    for (const mapping of state.mappings.live) {
      if (!mapping.isReset || mapping.isReported || mapping.owner !== this.#owner) continue;
      mapping.isReported = true;
      const what = 'a reset of the queue took a buffer back, and its mapping lives when the queue is used again';
      state.report('DMA-RESET-LEAK', what, { mapping });
    }
  }

  #handOver(segment: TrackedSegment): void {
    const { shadow } = this.#state;
    const { address, length, isWritable } = segment;
    shadow.clear(address, length, Shared | Fetched);
    shadow.set(address, length, Owned | (isWritable ? Stale : 0));
    if (!isWritable) segment.checksum = this.#state.checksum(address, length);
  }

  #takeBack(segment: TrackedSegment, written: number): void {
    const { shadow } = this.#state;
    const { mapping, address, length, isWritable } = segment;
    this.#state.compareChecksum(segment);
    mapping.written = Math.max(mapping.written, address - mapping.address + written);
    // A buffer that the driver mapped itself is the device's until it is unmapped or synced.
    if (mapping.kind === 'buffer') return;
    shadow.clear(address, length, Owned);
    if (!isWritable) return;
    shadow.clear(address + written, length - written, Stale);
    shadow.set(address, written, Written | (mapping.isBounced ? 0 : Shared));
  }
}
