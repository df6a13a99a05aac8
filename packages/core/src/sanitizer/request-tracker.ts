import type { DmaMapping } from '../dma/dma-mapping.ts';
import type { ScatterList } from '../queue/driver/scatter-list.ts';
import { ByteFlag } from './byte-shadow.ts';
import { Canary, LEAST_CANARY } from './canary.ts';
import { CallStack } from './call-stack.ts';
import { checkSegment, findMapping } from './segment-check.ts';
import type { SanitizerState } from './sanitizer-state.ts';
import { checkTranslation } from './translation-check.ts';
import { NO_CHECKSUM, type QueueOwner, type TrackedSegment } from './tracked-mapping.ts';
const { Owned, Stale, Shared, Fetched, Written } = ByteFlag;

/** The requests of one queue that are in flight, by descriptor, and whose the bytes of their premapped segments are meanwhile. */
export class RequestTracker {
  readonly #state: SanitizerState;
  readonly #owner: QueueOwner;
  readonly #mapping: DmaMapping;
  readonly #inFlight = new Map<number, TrackedSegment[]>();

  /** The mapping stays its owner's. */
  constructor(state: SanitizerState, owner: QueueOwner, mapping: DmaMapping) {
    this.#state = state;
    this.#owner = owner;
    this.#mapping = mapping;
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
        deviceAddress: isPremapped ? deviceAddressOf(list, i) : mapping.deviceAddress,
        isWritable: i >= list.readable,
        descriptor,
        request: state.request,
        addedAt,
        place: mapping.isBounced ? -1 : list.address[i]!,
        canary: undefined,
        checksum: NO_CHECKSUM,
      };
      mapping.descriptor = descriptor;
      mapping.lastRequest = state.request;
      segments.push(segment);
      checkSegment(state, segment, this.#mapping.limits, isPremapped);
      this.#checkTranslation(segment);
      this.#plantCanary(segment);
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
      this.#collectCanary(segment, here);
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

  #checkTranslation(segment: TrackedSegment): void {
    const mapping = this.#mapping;
    // What is another queue's only its own mapping may know.
    if (mapping.resolve === undefined || segment.mapping.owner !== this.#owner) return;
    segment.place = checkTranslation(this.#state, segment, (low, high) => mapping.resolve!(low, high));
  }

  /** The device does not see the request yet: it was added, and not published. */
  #plantCanary(segment: TrackedSegment): void {
    const { memory, options } = this.#state;
    const { isWritable, place, length, request, address } = segment;
    if (!isWritable || length < LEAST_CANARY || place < 0 || !memory.contains(place, length)) return;
    segment.canary = new Canary(memory, place, length, options.seed + Math.imul(request, 0x9e37_79b1) + address);
  }

  #collectCanary(segment: TrackedSegment, written: number): void {
    const { canary, mapping, address, place } = segment;
    if (canary === undefined) return;
    // What was copied for the request was copied back.
    const isOver = mapping.unmappedAt !== undefined;
    if (!canary.collect(isOver ? address : place, written)) return;
    const what = `a request came back with ${written} bytes written to a buffer, and none of them changed`;
    this.#state.report('DMA-DEVICE-WROTE-NOTHING', what, { segment });
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

function deviceAddressOf({ words }: ScatterList, i: number): bigint {
  return (BigInt(words[i * 2 + 1]!) << 32n) | BigInt(words[i * 2]!);
}
