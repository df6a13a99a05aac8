import { IN_FLIGHT_SPLIT, IN_FLIGHT_SPLIT_STATE, IN_FLIGHT_VERSION } from '@virtio-platform/vhost-user';
import type { InFlightRecord, RecordedRing, RecoveredQueue } from './in-flight-record.ts';
import type { RecordMemory } from './record-memory.ts';

const { version, entries, lastBatchHead, usedIdx, states } = IN_FLIGHT_SPLIT;
const { inFlight, next, counter, bytes: STATE_BYTES } = IN_FLIGHT_SPLIT_STATE;

/** The record of a split ring: QueueRegionSplit. */
export class SplitRecord implements InFlightRecord {
  readonly #memory: RecordMemory;
  /** Buffers that were returned and are not shown to the driver yet. */
  #batch: Uint16Array = new Uint16Array(0);
  #batchCount = 0;
  #lastBatchHead = 0;
  #counter = 0;

  constructor(memory: RecordMemory) {
    this.#memory = memory;
  }

  recover({ size, indices }: RecordedRing): RecoveredQueue {
    const memory = this.#memory;
    const { available, used } = indices;
    this.#batch = new Uint16Array(size);
    if (memory.isNew(version, entries, size)) {
      memory.setU16(entries, size);
      memory.setU16(usedIdx, used);
      memory.commitU16(version, IN_FLIGHT_VERSION);
      return { isNew: true, position: used, resubmitted: [] };
    }
    this.#finishBatch(size, used);
    const ids = Array.from({ length: size }, (_, id) => id).filter((id) => this.#isInFlight(id));
    const most = (available - used) & 0xffff;
    if (ids.length > most)
      throw memory.violation(`has ${ids.length} buffers, and the ring at most ${most} that were not returned`);
    const counterOf = (id: number): number => memory.counter(stateAt(id) + counter);
    ids.sort((one, other) => counterOf(one) - counterOf(other));
    this.#counter = ids.length === 0 ? 0 : counterOf(ids.at(-1)!) + 1;
    this.#lastBatchHead = memory.u16(lastBatchHead);
    return { isNew: false, position: used, resubmitted: ids.map((id) => ({ id, descriptors: [] })) };
  }

  /** The descriptors of a split ring stay where they are. */
  descriptor(): void {}

  taken(id: number): void {
    const at = stateAt(id);
    this.#memory.setCounter(at + counter, this.#counter++);
    this.#memory.commitByte(at + inFlight, 1);
  }

  returned(id: number): void {
    // A driver that makes a buffer available twice gets no more than its record has room for.
    if (this.#batchCount < this.#batch.length) this.#batch[this.#batchCount++] = id;
  }

  publishing(): void {
    for (let i = 0; i < this.#batchCount; i++) {
      const id = this.#batch[i]!;
      this.#memory.setU16(stateAt(id) + next, this.#lastBatchHead);
      this.#lastBatchHead = id;
    }
    this.#memory.commitU16(lastBatchHead, this.#lastBatchHead);
  }

  published(position: number): void {
    for (let i = 0; i < this.#batchCount; i++) this.#memory.commitByte(stateAt(this.#batch[i]!) + inFlight, 0);
    this.#batchCount = 0;
    this.#memory.commitU16(usedIdx, position);
  }

  /** A batch that the driver sees, but the record does not: its buffers are not in flight. */
  #finishBatch(size: number, used: number): void {
    const memory = this.#memory;
    const shown = (used - memory.u16(usedIdx)) & 0xffff;
    if (shown > size) throw memory.violation(`has used index ${memory.u16(usedIdx)}, and the ring ${used}`);
    for (let left = shown, id = memory.u16(lastBatchHead); left > 0; left--) {
      if (id >= size) throw memory.violation(`has buffer ${id} in a queue of ${size}`);
      memory.commitByte(stateAt(id) + inFlight, 0);
      id = memory.u16(stateAt(id) + next);
    }
    memory.commitU16(usedIdx, used);
  }

  #isInFlight(id: number): boolean {
    return this.#memory.bytes[stateAt(id) + inFlight] !== 0;
  }
}

function stateAt(id: number): number {
  return states + STATE_BYTES * id;
}
