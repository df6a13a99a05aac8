import type { DmaMapping } from '@virtio-platform/core/dma';
import type { ScatterList } from '@virtio-platform/core/queue';
import { ByteFlag } from './byte-shadow.ts';
import { Canary, LEAST_CANARY } from './canary.ts';
import { CallStack } from './call-stack.ts';
import { checkSegment, findMapping, checkTranslation } from './segment-check.ts';
import type { SanitizerState } from './sanitizer-state.ts';
import { NO_CHECKSUM, type QueueOwner, type TrackedSegment } from './tracked-mapping.ts';

const { Owned, Stale, Shared, Fetched, Written } = ByteFlag;

/**
 * The requests of one queue that are in flight, by descriptor, and the owner of the bytes of their premapped segments.
 */
export class RequestTracker {
  readonly #state: SanitizerState;
  readonly #owner: QueueOwner;
  readonly #mapping: DmaMapping;
  readonly #inFlight = new Map<number, TrackedSegment[]>();

  /** Does not own `mapping`. */
  constructor(state: SanitizerState, owner: QueueOwner, mapping: DmaMapping) {
    this.#state = state;
    this.#owner = owner;
    this.#mapping = mapping;
  }

  /** Records and checks a request that was added; it is still the current request of `state`. */
  added(descriptor: number, list: ScatterList): void {
    const state = this.#state;
    const addedAt = new CallStack();
    state.noteAdded(this.#owner, descriptor);
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
      if (isPremapped) this.#giveToDevice(segment);
      state.mappings.addSegment(segment);
    }
    this.#inFlight.set(descriptor, segments);
  }

  /**
   * Records and checks a request that the device returned; it wrote the first `written` bytes of the writable segments.
   */
  returned(descriptor: number, written: number): void {
    const segments = this.#inFlight.get(descriptor) ?? [];
    this.#inFlight.delete(descriptor);
    let left = written;
    for (const segment of segments) {
      const here = segment.isWritable ? Math.min(left, segment.length) : 0;
      left -= here;
      this.#collectCanary(segment, here);
      this.#state.mappings.endSegment(segment);
      // Mappings that the queue made for the request are unmapped already.
      if (segment.mapping.unmappedAt === undefined) this.#takeBack(segment, here);
    }
  }

  /** Records that a reset returned all requests to the driver. */
  reset(): void {
    for (const [descriptor, segments] of this.#inFlight) {
      for (const { mapping } of segments) if (mapping.kind === 'buffer') mapping.isReset = true;
      this.returned(descriptor, 0);
    }
  }

  /** Reports buffers that a reset returned and that are still mapped when the queue is used again. */
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
    // Only the mapping of its own queue can translate the address.
    if (mapping.resolve === undefined || segment.mapping.owner !== this.#owner) return;
    segment.place = checkTranslation(this.#state, segment, (low, high) => mapping.resolve!(low, high));
  }

  /** Writes the canary between `add` and `publish`, while the device does not see the request. */
  #plantCanary(segment: TrackedSegment): void {
    const { memory, options } = this.#state;
    const { isWritable, place, length, request, address } = segment;
    if (!isWritable || length < LEAST_CANARY || place < 0 || !memory.contains(place, length)) return;
    segment.canary = new Canary(memory, place, length, options.seed + Math.imul(request, 0x9e37_79b1) + address);
  }

  #collectCanary(segment: TrackedSegment, written: number): void {
    const { canary, mapping, address, place } = segment;
    if (canary === undefined) return;
    // Unmapping copied the bytes of a bounced buffer back, so the canary is in the buffer itself.
    const isUnmapped = mapping.unmappedAt !== undefined;
    if (!canary.collect(isUnmapped ? address : place, written)) return;
    const what = `a request came back with ${written} bytes written to a buffer, and none of them changed`;
    this.#state.report('DMA-DEVICE-WROTE-NOTHING', what, { segment });
  }

  #giveToDevice(segment: TrackedSegment): void {
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
    // The device owns a buffer that the driver mapped itself until the driver unmaps or syncs it.
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
