import {
  FIRST_POSITION,
  isAvailable,
  slotOf,
  type ResubmittedBuffer,
  type RingDescriptor,
} from '@virtio-platform/core/queue';
import { IN_FLIGHT_PACKED, IN_FLIGHT_PACKED_STATE, IN_FLIGHT_VERSION } from '@virtio-platform/vhost-user';
import type { InFlightRecord, RecordedRing, RecoveredQueue } from './in-flight-record.ts';
import type { RecordMemory } from './record-memory.ts';

const AT = IN_FLIGHT_PACKED;
const STATE = IN_FLIGHT_PACKED_STATE;
/** In the place of an entry: the buffer is not in the record. */
const NONE = 0xffff;

/**
 * The record of a packed ring: QueueRegionPacked. Its entries hold copies of descriptors, because used ones overwrite
 * those in the ring. What a front-end could change meanwhile is kept here too, and only written there.
 */
export class PackedRecord implements InFlightRecord {
  readonly #memory: RecordMemory;
  /** By entry: the next one, of a buffer or in the list of free ones. */
  readonly #next: Uint16Array;
  /** By id: the first and the last entry of a buffer in flight. */
  #first: Uint16Array = new Uint16Array(0);
  #last: Uint16Array = new Uint16Array(0);
  /** Buffers that were returned and are not shown to the driver yet. */
  #batch: Uint16Array = new Uint16Array(0);
  #batchCount = 0;
  #free = 0;
  /** The position up to which the driver sees used entries. */
  #shown = FIRST_POSITION;
  #counter = 0;
  /** The entries of the buffer that is taken. */
  #taking = 0;
  #takingLast = 0;
  #takingCount = 0;
  #isFull = false;

  /** `capacity` is how many entries the memory has. */
  constructor(memory: RecordMemory, capacity: number) {
    this.#memory = memory;
    this.#next = new Uint16Array(capacity);
  }

  recover(ring: RecordedRing): RecoveredQueue {
    const { size } = ring;
    [this.#first, this.#last, this.#batch] = [new Uint16Array(size), new Uint16Array(size), new Uint16Array(size)];
    if (this.#memory.isNew(AT.version, AT.entries, size)) {
      this.#begin(ring.position);
      return { isNew: true, position: ring.position, resubmitted: [] };
    }
    const count = this.#memory.u16(AT.entries);
    if (count > this.#next.length) throw this.#memory.violation(`has ${count} entries, in memory for fewer`);
    this.#finishBatch(ring);
    for (let entry = 0; entry < count; entry++) this.#next[entry] = this.#memory.u16(stateAt(entry) + STATE.next);
    const taken = this.#walkFree(count);
    const resubmitted = this.#inFlight(count, size, taken);
    return { isNew: false, position: this.#shown, resubmitted };
  }

  descriptor(low: number, high: number, length: number, flags: number, id: number): void {
    const entry = this.#free;
    // A driver that makes slots available twice gets no more than its record has room for.
    this.#isFull = entry >= this.#next.length;
    if (this.#isFull) return;
    if (this.#takingCount++ === 0) this.#taking = entry;
    this.#takingLast = entry;
    const at = stateAt(entry);
    const { view } = this.#memory;
    view.setUint32(at + STATE.address, low, true);
    view.setUint32(at + STATE.address + 4, high, true);
    view.setUint32(at + STATE.length, length, true);
    view.setUint16(at + STATE.flags, flags, true);
    view.setUint16(at + STATE.id, id, true);
    this.#free = this.#next[entry]!;
  }

  taken(id: number): void {
    const memory = this.#memory;
    this.#first[id] = NONE;
    if (this.#isFull) return;
    const at = stateAt(this.#taking);
    memory.setU16(at + STATE.count, this.#takingCount);
    memory.setU16(at + STATE.last, this.#takingLast);
    memory.setCounter(at + STATE.counter, this.#counter++);
    memory.commitByte(at + STATE.inFlight, 1);
    // Until it leaves the list of free ones, an entry is not in flight.
    memory.setU16(AT.freeHead, this.#free);
    memory.commitU16(AT.oldFreeHead, this.#free);
    this.#first[id] = this.#taking;
    this.#last[id] = this.#takingLast;
    this.#takingCount = 0;
  }

  returned(id: number): void {
    if (this.#first[id] !== NONE && this.#batchCount < this.#batch.length) this.#batch[this.#batchCount++] = id;
  }

  publishing(position: number): void {
    const memory = this.#memory;
    for (let i = 0; i < this.#batchCount; i++) {
      const id = this.#batch[i]!;
      const last = this.#last[id]!;
      this.#next[last] = this.#free;
      memory.setU16(stateAt(last) + STATE.next, this.#free);
      this.#free = this.#first[id]!;
    }
    memory.setU16(AT.freeHead, this.#free);
    memory.commitPositions(AT.usedIdx, position, this.#shown);
  }

  published(position: number): void {
    const memory = this.#memory;
    for (let i = 0; i < this.#batchCount; i++)
      memory.commitByte(stateAt(this.#first[this.#batch[i]!]!) + STATE.inFlight, 0);
    this.#batchCount = 0;
    memory.commitU16(AT.oldFreeHead, this.#free);
    memory.commitPositions(AT.usedIdx, position, position);
    this.#shown = position;
  }

  #begin(position: number): void {
    const memory = this.#memory;
    const count = this.#next.length;
    for (let entry = 0; entry < count; entry++) {
      this.#next[entry] = entry + 1;
      memory.setU16(stateAt(entry) + STATE.next, entry + 1);
    }
    memory.setU16(AT.entries, count);
    memory.commitPositions(AT.usedIdx, position, position);
    this.#shown = position;
    memory.commitU16(AT.version, IN_FLIGHT_VERSION);
  }

  /**
   * A batch that was about to be shown: it was where the first of its used descriptors is in the ring, and otherwise it
   * is undone. A batch of a whole ring has the same index twice, so the wrap counters are compared too.
   */
  #finishBatch({ size, flagsAt }: RecordedRing): void {
    const memory = this.#memory;
    const position = (idx: number, wrap: number): number =>
      memory.u16(idx) | (memory.bytes[wrap] === 0 ? 0 : FIRST_POSITION);
    const [used, shown] = [position(AT.usedIdx, AT.usedWrap), position(AT.oldUsedIdx, AT.oldUsedWrap)];
    for (const slot of [slotOf(used), slotOf(shown)])
      if (slot >= size) throw memory.violation(`has slot ${slot} of ${size}`);
    const isShown = used !== shown && !isAvailable(flagsAt(slotOf(shown)), shown);
    if (isShown) memory.commitU16(AT.oldFreeHead, memory.u16(AT.freeHead));
    else memory.commitU16(AT.freeHead, memory.u16(AT.oldFreeHead));
    this.#shown = isShown ? used : shown;
    memory.commitPositions(AT.usedIdx, this.#shown, this.#shown);
  }

  /** Which entries are free; those are not in flight. */
  #walkFree(count: number): Uint8Array {
    const memory = this.#memory;
    const seen = new Uint8Array(count);
    this.#free = memory.u16(AT.freeHead);
    for (let entry = this.#free; entry < count; entry = this.#next[entry]!) {
      if (seen[entry] !== 0) throw memory.violation(`has entry ${entry} free twice`);
      seen[entry] = 1;
      memory.commitByte(stateAt(entry) + STATE.inFlight, 0);
    }
    return seen;
  }

  #inFlight(count: number, size: number, taken: Uint8Array): ResubmittedBuffer[] {
    const memory = this.#memory;
    const counterOf = (entry: number): number => memory.counter(stateAt(entry) + STATE.counter);
    const firsts = Array.from({ length: count }, (_, entry) => entry)
      .filter((entry) => memory.bytes[stateAt(entry) + STATE.inFlight] !== 0)
      .toSorted((one, other) => counterOf(one) - counterOf(other));
    this.#counter = firsts.length === 0 ? 0 : counterOf(firsts.at(-1)!) + 1;
    const buffers = firsts.map((first) => this.#bufferAt(first, count, size, taken));
    const slots = buffers.reduce((sum, { descriptors }) => sum + descriptors.length, 0);
    if (slots > size) throw memory.violation(`has ${slots} descriptors in a queue of ${size}`);
    if (new Set(buffers.map(({ id }) => id)).size < buffers.length) throw memory.violation('has a buffer twice');
    return buffers;
  }

  #bufferAt(first: number, count: number, size: number, taken: Uint8Array): ResubmittedBuffer {
    const memory = this.#memory;
    const length = memory.u16(stateAt(first) + STATE.count);
    const descriptors: RingDescriptor[] = [];
    let last = first;
    for (let entry = first; descriptors.length < length; entry = this.#next[entry]!) {
      if (entry >= count || taken[entry] !== 0)
        throw memory.violation(`has entry ${entry} of ${count} in two buffers, or free`);
      taken[entry] = 1;
      descriptors.push(this.#descriptorAt(stateAt(entry)));
      last = entry;
    }
    const id = memory.u16(stateAt(last) + STATE.id);
    if (length === 0 || id >= size) throw memory.violation(`has buffer ${id} of ${length} descriptors`);
    this.#first[id] = first;
    this.#last[id] = last;
    return { id, descriptors };
  }

  #descriptorAt(at: number): RingDescriptor {
    const { view } = this.#memory;
    return {
      low: view.getUint32(at + STATE.address, true),
      high: view.getUint32(at + STATE.address + 4, true),
      length: view.getUint32(at + STATE.length, true),
      flags: view.getUint16(at + STATE.flags, true),
    };
  }
}

function stateAt(entry: number): number {
  return AT.states + STATE.bytes * entry;
}
