import type { CallStack } from './call-stack.ts';
import type { QueueOwner, TrackedMapping, TrackedSegment } from './tracked-mapping.ts';

/** The number of ended mappings, segments and failed maps that are kept to say what an address was. */
const REMEMBERED_IDS = 65_536;
const REMEMBERED_MAPPINGS = 1024;
const REMEMBERED_SEGMENTS = 4096;
const REMEMBERED_FAILURES = 64;

/** A `map` that returned a negative reason. */
export interface FailedMap {
  readonly owner: QueueOwner;
  readonly address: number;
  readonly length: number;
  readonly reason: number;
  readonly at: CallStack;
}

/** All mappings of a guest, of every queue of every device: live ones, and the newest of those that ended. */
export class MappingRegistry {
  readonly live: Set<TrackedMapping> = new Set();
  /** By the id that the sanitizer gave out, which is unique over all queues. */
  readonly byId: Map<number, TrackedMapping> = new Map();
  readonly #released: TrackedMapping[] = [];
  readonly #inFlight = new Set<TrackedSegment>();
  readonly #returned: TrackedSegment[] = [];
  readonly #failures: FailedMap[] = [];

  /** Records the end of a mapping. */
  release(mapping: TrackedMapping, at: CallStack): void {
    mapping.unmappedAt = at;
    this.live.delete(mapping);
    remember(this.#released, mapping, REMEMBERED_MAPPINGS);
  }

  /** Records a new mapping with its id; -1 for a region, which has none. */
  open(mapping: TrackedMapping, id: number): void {
    this.live.add(mapping);
    if (id < 0) return;
    this.byId.set(id, mapping);
    if (this.byId.size > REMEMBERED_IDS) this.#forgetOldestId();
  }

  /** Records a segment of a request that was added. */
  addSegment(segment: TrackedSegment): void {
    this.#inFlight.add(segment);
  }

  /** Records that the request of a segment came back. */
  endSegment(segment: TrackedSegment): void {
    this.#inFlight.delete(segment);
    remember(this.#returned, segment, REMEMBERED_SEGMENTS);
  }

  /** Records a failed `map`. */
  addFailure(failure: FailedMap): void {
    remember(this.#failures, failure, REMEMBERED_FAILURES);
  }

  /** Live mappings that share a byte of guest memory with a range. */
  overlapping(address: number, length: number): TrackedMapping[] {
    return [...this.live].filter((mapping) => mapping.overlaps(address, length));
  }

  /** The live mapping that contains this device address. */
  atDeviceAddress(low: number, high: number): TrackedMapping | undefined {
    return find(this.live, (mapping) => isWithin(mapping, mapping.offsetOf(low, high)));
  }

  /** The newest ended mapping that contained this device address. */
  releasedAt(low: number, high: number): TrackedMapping | undefined {
    return this.#released.findLast((mapping) => isWithin(mapping, mapping.offsetOf(low, high)));
  }

  /** The number of ended mappings of a request's segments. */
  releasedOf(request: number): number {
    return this.#released.filter(({ lastRequest }) => lastRequest === request).length;
  }

  /**
   * The live mapping of which a page, though none of its bytes, contains this device address; `page` is the size in
   * bytes.
   */
  besideDeviceAddress(low: number, high: number, page: number): TrackedMapping | undefined {
    return find(this.live, (mapping) => {
      const offset = mapping.offsetOf(low, high);
      const first = -(mapping.low % page);
      const end = Math.ceil(((mapping.low % page) + mapping.length) / page) * page + first;
      return offset >= first && offset < end;
    });
  }

  /** The segment that contains this byte of guest memory: one in flight, or else the newest that came back. */
  segmentAt(address: number): TrackedSegment | undefined {
    const isThere = (segment: TrackedSegment): boolean => isWithin(segment, address - segment.address);
    return find(this.#inFlight, isThere) ?? this.#returned.findLast(isThere);
  }

  /** A segment in flight that uses a mapping. */
  inFlight(mapping: TrackedMapping): TrackedSegment | undefined {
    return find(this.#inFlight, (segment) => segment.mapping === mapping);
  }

  /** The newest failed `map` of this byte of guest memory. */
  failureAt(address: number): FailedMap | undefined {
    return this.#failures.findLast((failure) => isWithin(failure, address - failure.address));
  }

  /** The newest failed `map` of a queue that returned `reason`. */
  failureWith(owner: QueueOwner, reason: number): FailedMap | undefined {
    return this.#failures.findLast((failure) => failure.owner === owner && failure.reason === reason);
  }

  #forgetOldestId(): void {
    for (const [id, { unmappedAt }] of this.byId) {
      if (unmappedAt === undefined) continue;
      this.byId.delete(id);
      return;
    }
  }
}

function isWithin({ length }: { readonly length: number }, offset: number): boolean {
  return offset >= 0 && offset < length;
}

function find<T>(items: Iterable<T>, test: (item: T) => boolean): T | undefined {
  for (const item of items) if (test(item)) return item;
  return undefined;
}

function remember<T>(list: T[], item: T, most: number): void {
  if (list.length === most) list.splice(0, most / 2);
  list.push(item);
}
