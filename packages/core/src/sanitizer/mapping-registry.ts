import type { CallStack } from './call-stack.ts';
import type { QueueOwner, TrackedMapping, TrackedSegment } from './tracked-mapping.ts';

/** How much of what is over is remembered, to say what an address was. */
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

/** What the sanitizer remembers of all mappings of a guest, of every queue of every device. */
export class MappingRegistry {
  readonly live: Set<TrackedMapping> = new Set();
  /** By the id that the sanitizer gave out: never used twice, in whatever queue. */
  readonly byId: Map<number, TrackedMapping> = new Map();
  readonly #released: TrackedMapping[] = [];
  readonly #inFlight = new Set<TrackedSegment>();
  readonly #returned: TrackedSegment[] = [];
  readonly #failures: FailedMap[] = [];

  release(mapping: TrackedMapping, at: CallStack): void {
    mapping.unmappedAt = at;
    this.live.delete(mapping);
    remember(this.#released, mapping, REMEMBERED_MAPPINGS);
  }

  /** A mapping was made, and `id` stands for it from here on; -1 for a region, which is known by its object. */
  open(mapping: TrackedMapping, id: number): void {
    this.live.add(mapping);
    if (id < 0) return;
    this.byId.set(id, mapping);
    if (this.byId.size > REMEMBERED_IDS) this.#forgetOldestId();
  }

  addSegment(segment: TrackedSegment): void {
    this.#inFlight.add(segment);
  }

  endSegment(segment: TrackedSegment): void {
    this.#inFlight.delete(segment);
    remember(this.#returned, segment, REMEMBERED_SEGMENTS);
  }

  addFailure(failure: FailedMap): void {
    remember(this.#failures, failure, REMEMBERED_FAILURES);
  }

  /** Live mappings that share a byte of guest memory with a range. */
  overlapping(address: number, length: number): TrackedMapping[] {
    return [...this.live].filter((mapping) => mapping.overlaps(address, length));
  }

  /** The live mapping whose device addresses have this one. */
  atDeviceAddress(low: number, high: number): TrackedMapping | undefined {
    return find(this.live, (mapping) => isWithin(mapping, mapping.offsetOf(low, high)));
  }

  /** The last mapping that was given back and had this device address. */
  releasedAt(low: number, high: number): TrackedMapping | undefined {
    return this.#released.findLast((mapping) => isWithin(mapping, mapping.offsetOf(low, high)));
  }

  /** How many mappings of a request's segments were given back. */
  releasedOf(request: number): number {
    return this.#released.filter(({ lastRequest }) => lastRequest === request).length;
  }

  /** The live mapping in one of whose pages a device address lies, though not in its bytes. */
  besideDeviceAddress(low: number, high: number, page: number): TrackedMapping | undefined {
    return find(this.live, (mapping) => {
      const offset = mapping.offsetOf(low, high);
      const first = -(mapping.low % page);
      const end = Math.ceil(((mapping.low % page) + mapping.length) / page) * page + first;
      return offset >= first && offset < end;
    });
  }

  /** The segment that has this byte of guest memory: one in flight, or else the newest that came back. */
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
