import type { GuestMemory } from '@virtio-platform/core/memory';
import type { ByteOrder, Virtqueue } from '@virtio-platform/core/queue';
import { FlightRecorder, KIND, type TraceEvent } from '@virtio-platform/trace';
import type { RingPlace, StepEvent, WordChange } from './recording.ts';

/** The most changed words that a recorder keeps. */
const MOST_CHANGES = 2 ** 21;

/** What a recorder saw last of the memory of one queue. */
interface SeenQueue {
  readonly queue: Virtqueue;
  readonly memory: GuestMemory;
  readonly byteOrder: ByteOrder;
  place: RingPlace | undefined;
  ring: Uint32Array;
  tables: Uint32Array;
}

/** What was found at one event. */
interface Found {
  readonly placed: RingPlace[];
  readonly changes: WordChange[];
}

const NOTHING: Found = { placed: [], changes: [] };

/**
 * A flight recorder that also keeps, for each event, which words of the rings' memory changed since the event before.
 * It reads the memory itself, because the events tell of calls only: the device writes used entries, indices and event
 * suppression fields whenever it likes. For runs of few requests: it compares all of every ring at every event.
 */
export class DetailRecorder extends FlightRecorder {
  readonly #queues: SeenQueue[] = [];
  readonly #found = new Map<number, Found>();
  #changes = 0;

  /** From now on the memory of this queue is read at each event, until its ring is released. */
  follow(queue: Virtqueue, memory: GuestMemory, byteOrder: ByteOrder): void {
    const none = new Uint32Array(0);
    this.#queues.push({ queue, memory, byteOrder, place: undefined, ring: none, tables: none });
  }

  constructor(capacity: number) {
    super(capacity, { detail: 'full' });
  }

  override record(
    kind: number,
    queue: number,
    id: number,
    address: number,
    low: number,
    high: number,
    length: number,
    extra: number,
  ): void {
    super.record(kind, queue, id, address, low, high, length, extra);
    this.#lookAt(kind, address, this.count - 1);
  }

  override mark(kind: number, queue: number, id: number, length: number, extra: number): void {
    super.mark(kind, queue, id, length, extra);
    this.#lookAt(kind, -1, this.count - 1);
  }

  override markBatch(...batch: Parameters<FlightRecorder['markBatch']>): void {
    const first = this.count;
    super.markBatch(...batch);
    if (this.count > first) this.#lookAt(batch[0], -1, first);
  }

  /** Whether there was more than the recorder keeps. */
  get isIncomplete(): boolean {
    return this.count > this.capacity || this.#changes >= MOST_CHANGES;
  }

  /** The events that are kept, each with what changed in memory. */
  get events(): StepEvent[] {
    return this.read().events.map((event: TraceEvent) => ({ ...event, ...(this.#found.get(event.index) ?? NOTHING) }));
  }

  #lookAt(kind: number, address: number, index: number): void {
    // What is in memory that was given back is nothing of the ring.
    if (kind === KIND.release) this.#forget(address);
    const found = this.#look(kind);
    if (found.placed.length > 0 || found.changes.length > 0) this.#found.set(index, found);
  }

  #look(kind: number): Found {
    if (this.#queues.length === 0 || this.#changes >= MOST_CHANGES) return NOTHING;
    const found: Found = { placed: [], changes: [] };
    for (const seen of this.#queues) {
      const { memory: at } = seen.queue;
      if (seen.place === undefined || seen.place.address !== at.ring.address) {
        seen.place = placeOf(seen);
        seen.ring = new Uint32Array(Math.ceil(seen.place.length / 4));
        seen.tables = new Uint32Array((seen.place.tables?.length ?? 0) / 4);
        found.placed.push(seen.place);
      }
      const { place } = seen;
      const { u32 } = seen.memory;
      compare(u32, place.address, seen.ring, { queue: place.queue, area: 'ring' }, found.changes);
      // Only the driver writes tables, before it has added the buffer.
      if (place.tables !== null && kind === KIND.add)
        compare(u32, place.tables.address, seen.tables, { queue: place.queue, area: 'tables' }, found.changes);
    }
    this.#changes += found.changes.length;
    return found;
  }

  #forget(address: number): void {
    const at = this.#queues.findIndex(({ place }) => place?.address === address);
    if (at >= 0) this.#queues.splice(at, 1);
  }
}

function placeOf({ queue, byteOrder }: SeenQueue): RingPlace {
  const { ring, tables } = queue.memory;
  const { words, size } = queue.addresses;
  const table = new Uint32Array(2);
  tables?.writeDeviceAddress(0, table, 0);
  const deviceAddress = (BigInt(table[1]!) << 32n) | BigInt(table[0]!);
  return {
    queue: queue.index,
    layout: queue.inspect().layout,
    size,
    byteOrder,
    address: ring.address,
    length: ring.length,
    // Of one region, which is contiguous for the device: the low words of its addresses differ as the places do.
    driverOffset: (words[2]! - words[0]!) >>> 0,
    deviceOffset: (words[4]! - words[0]!) >>> 0,
    tables: tables === undefined ? null : { address: tables.address, length: tables.length, deviceAddress },
  };
}

/** Compares an area with what it was, and brings `seen` up to date. */
function compare(
  u32: Uint32Array,
  address: number,
  seen: Uint32Array,
  of: Pick<WordChange, 'queue' | 'area'>,
  changes: WordChange[],
): void {
  const from = address / 4;
  for (let word = 0; word < seen.length; word++) {
    const after = u32[from + word]!;
    const before = seen[word]!;
    if (after === before) continue;
    changes.push({ ...of, word, before, after });
    seen[word] = after;
  }
}
