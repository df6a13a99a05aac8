import { DmaDirection } from '../dma/dma-region.ts';
import type { DmaMapping } from '../dma/dma-mapping.ts';
import type { ScatterList } from './scatter-list.ts';
import { QUEUE_FULL } from './virtqueue.ts';
import type { BufferState, SegmentState, VirtqueueState } from './virtqueue-state.ts';
/** A request takes descriptors of the ring itself, one for each segment. */
export const IN_RING = 0;
/** A request takes one descriptor, which refers to the indirect table of its head. */
export const IN_TABLE = 1;

/** No segment is mapped here: it is premapped, or there is none. */
const NOT_MAPPED = -1;
/** The head of no outstanding buffer. */
const NOT_A_HEAD = 0;

/** What is remembered by head is words of one array: an array for each would be one more to look up and to check. */
const HEAD_WORDS = 8;
/** Segments of the buffer, {@link NOT_A_HEAD} while the entry is no head. */
const SEGMENTS = 0;
/** Entries it takes, and the last of them. */
const ENTRIES = 1;
const LAST = 2;
/** Bytes the device may write. */
const WRITABLE = 3;
/** How many buffers had been added before, free-running in 32 bits. */
const ADDED_AT = 4;
/** Whether its segments are in its indirect table. */
const IS_INDIRECT = 5;
/** Segments mapped with it: those that are not premapped. Where there are none, nothing has to be unmapped. */
const MAPPED = 6;

/**
 * A driver's private memory of what it gave to the device, for either layout: which buffers are outstanding, their segments,
 * and how each is mapped. Nothing of it is ever read back from shared memory.
 *
 * A buffer takes entries from a free list: one for each segment, or one in all when its segments are in an indirect table.
 * Its first entry is its head: the descriptor index of a split ring, the buffer id of a packed one. Hot: no allocation.
 */
export class OutstandingBuffers {
  /** Device address of the segment mapped last: low and high word. */
  readonly words: Uint32Array = new Uint32Array(2);
  readonly #size: number;
  readonly #tableEntries: number;
  readonly #mapping: DmaMapping;
  /** By entry: the next one of the buffer or of the free list. */
  readonly #next: Uint16Array;
  /** By head, {@link HEAD_WORDS} apart. */
  readonly #heads: Uint32Array;
  /** By entry, then by table entry: mapping id, and bytes the device may write there. */
  readonly #mapped: Int32Array;
  readonly #room: Uint32Array;
  /** Heads in the order in which they were added, as a ring. Read only where buffers come back in that order. */
  readonly #order: Uint16Array;
  #oldest = 0;
  #freeHead = 0;
  #freeTail: number;
  #free: number;
  #count = 0;
  #added = 0;
  /** Segments mapped of the request that is being described. */
  #mappedSegments = 0;

  /** `size` entries, each with a table of `tableEntries`. The mapping stays the caller's. */
  constructor(mapping: DmaMapping, size: number, tableEntries: number) {
    const entries = size * (1 + tableEntries);
    this.#mapping = mapping;
    this.#size = size;
    this.#tableEntries = tableEntries;
    this.#next = Uint16Array.from({ length: size }, (_, i) => (i + 1) % size);
    this.#heads = new Uint32Array(size * HEAD_WORDS);
    this.#mapped = new Int32Array(entries).fill(NOT_MAPPED);
    this.#room = new Uint32Array(entries);
    this.#order = new Uint16Array(size);
    this.#freeTail = size - 1;
    this.#free = size;
  }

  /** Buffers outstanding. */
  get count(): number {
    return this.#count;
  }

  /** Entries that no buffer has. */
  get free(): number {
    return this.#free;
  }

  /** Buffers added so far, free-running in 32 bits. */
  get added(): number {
    return this.#added;
  }

  /**
   * Where the request in `list` goes: {@link IN_TABLE}, {@link IN_RING}, or `QUEUE_FULL` for now. Throws `TypeError` or
   * `RangeError` for one that can go nowhere: a chain is no longer than the queue, not even through a table (section 2.7.5.3.1).
   */
  place({ count }: ScatterList): number {
    if (count === 0) throw new TypeError('a request has at least one segment');
    const useTable = count > 1 && count <= this.#tableEntries;
    if (!useTable && count > this.#size) {
      throw new RangeError(`a request of ${count} segments does not fit in ${this.#size} descriptors`);
    }
    if (this.#free < (useTable ? 1 : count)) return QUEUE_FULL;
    return useTable ? IN_TABLE : IN_RING;
  }

  /** The head that the next buffer gets. */
  get nextHead(): number {
    return this.#freeHead;
  }

  /** The buffer added first of those outstanding. Right only while every buffer is removed in order. */
  get oldestHead(): number {
    return this.#order[this.#oldest]!;
  }

  /** The entry behind one of a buffer, or behind a free one. */
  entryAfter(entry: number): number {
    return this.#next[entry]!;
  }

  /** Where segment `i` of a buffer in its indirect table is remembered. */
  tableEntry(head: number, i: number): number {
    return this.#size + head * this.#tableEntries + i;
  }

  /** Maps segment `i` of a request, remembers it at `entry`, and puts its address in {@link words}. Returns a negative reason where that fails. */
  map(list: ScatterList, i: number, entry: number): number {
    const isWritable = i >= list.readable;
    const length = list.length[i]!;
    this.#room[entry] = isWritable ? length : 0;
    if (list.premapped[i] === 1) {
      this.words[0] = list.words[i * 2]!;
      this.words[1] = list.words[i * 2 + 1]!;
      return 0;
    }
    const direction = isWritable ? DmaDirection.FromDevice : DmaDirection.ToDevice;
    const id = this.#mapping.map(list.address[i]!, length, direction, this.words, 0);
    if (id < 0) return id;
    this.#mapped[entry] = id;
    this.#mappedSegments++;
    return id;
  }

  /** Takes back the first `count` segments of a request that could not be mapped whole. Nothing has changed then. */
  undo(count: number, isIndirect: boolean): void {
    this.#unmap(this.#freeHead, count, isIndirect, 0);
    this.#mappedSegments = 0;
  }

  /** Makes the request at {@link nextHead} outstanding and returns its head. Every segment is mapped. */
  add(list: ScatterList, isIndirect: boolean): number {
    const head = this.#freeHead;
    const count = list.count;
    const entries = isIndirect ? 1 : count;
    let writable = 0;
    for (let i = list.readable; i < count; i++) writable += list.length[i]!;
    let last = head;
    for (let i = 1; i < entries; i++) last = this.#next[last]!;
    const at = head * HEAD_WORDS;
    this.#heads[at + SEGMENTS] = count;
    this.#heads[at + ENTRIES] = entries;
    this.#heads[at + LAST] = last;
    this.#heads[at + WRITABLE] = writable;
    this.#heads[at + ADDED_AT] = this.#added;
    this.#heads[at + IS_INDIRECT] = isIndirect ? 1 : 0;
    this.#heads[at + MAPPED] = this.#mappedSegments;
    this.#mappedSegments = 0;
    this.#added = (this.#added + 1) | 0;
    const newest = this.#oldest + this.#count;
    this.#order[newest < this.#size ? newest : newest - this.#size] = head;
    this.#freeHead = this.#next[last]!;
    this.#free -= entries;
    this.#count++;
    return head;
  }

  /** Whether `head` is that of an outstanding buffer, added before `published` buffers had been. */
  isOutstanding(head: number, published: number): boolean {
    const at = head * HEAD_WORDS;
    return this.#heads[at + SEGMENTS] !== NOT_A_HEAD && ((this.#heads[at + ADDED_AT]! - published) | 0) < 0;
  }

  /** Entries of an outstanding buffer: what it takes of a packed ring. */
  entriesOf(head: number): number {
    return this.#heads[head * HEAD_WORDS + ENTRIES]!;
  }

  /** Bytes the device may write to an outstanding buffer. */
  writableOf(head: number): number {
    return this.#heads[head * HEAD_WORDS + WRITABLE]!;
  }

  /** Unmaps a buffer of which `written` bytes were written, and frees its entries. */
  remove(head: number, written: number): void {
    const at = head * HEAD_WORDS;
    const segments = this.#heads[at + SEGMENTS]!;
    if (this.#heads[at + MAPPED] !== 0) this.#unmap(head, segments, this.#heads[at + IS_INDIRECT] === 1, written);
    // Freed entries go to the end of the list: they are reused as late as possible, and in order where buffers come back so.
    if (this.#free === 0) this.#freeHead = head;
    else this.#next[this.#freeTail] = head;
    this.#freeTail = this.#heads[at + LAST]!;
    this.#free += this.#heads[at + ENTRIES]!;
    this.#heads[at + SEGMENTS] = NOT_A_HEAD;
    this.#oldest = this.#oldest + 1 === this.#size ? 0 : this.#oldest + 1;
    this.#count--;
  }

  /** Removes all, nothing written, and returns their heads; then everything is as after construction. Cold. */
  removeAll(): number[] {
    const heads = this.#liveHeads();
    for (const head of heads) this.remove(head, 0);
    for (let entry = 0; entry < this.#size; entry++) this.#next[entry] = (entry + 1) % this.#size;
    this.#freeHead = 0;
    this.#freeTail = this.#size - 1;
    this.#oldest = 0;
    this.#added = 0;
    return heads;
  }

  /** What `restore` needs. Cold. */
  save(): Pick<VirtqueueState, 'added' | 'free' | 'buffers'> {
    const free: number[] = [];
    for (let entry = this.#freeHead; free.length < this.#free; entry = this.#next[entry]!) free.push(entry);
    const age = (head: number): number => (this.#added - this.#heads[head * HEAD_WORDS + ADDED_AT]!) >>> 0;
    const buffers = this.#liveHeads().toSorted((a, b) => age(b) - age(a));
    return { added: this.#added >>> 0, free, buffers: buffers.map((head) => this.#saveBuffer(head)) };
  }

  /** Takes over what another one saved, in place of what it had: nothing. Cold. */
  restore({ added, free, buffers }: VirtqueueState): void {
    this.#added = added | 0;
    this.#free = free.length;
    this.#link(free);
    this.#freeHead = free[0] ?? 0;
    this.#freeTail = free.at(-1) ?? 0;
    this.#count = buffers.length;
    this.#oldest = 0;
    for (const [i, buffer] of buffers.entries()) {
      this.#restoreBuffer(buffer);
      this.#order[i] = buffer.entries[0]!;
    }
  }

  #saveBuffer(head: number): BufferState {
    const at = head * HEAD_WORDS;
    const isIndirect = this.#heads[at + IS_INDIRECT] === 1;
    const entries: number[] = [];
    for (let i = 0, entry = head; i < this.entriesOf(head); i++, entry = this.#next[entry]!) entries.push(entry);
    const segments = Array.from({ length: this.#heads[at + SEGMENTS]! }, (_, i): SegmentState => {
      const entry = isIndirect ? this.tableEntry(head, i) : entries[i]!;
      return { mapped: this.#mapped[entry]!, room: this.#room[entry]! };
    });
    return { entries, isIndirect, addedAt: this.#heads[at + ADDED_AT]!, segments };
  }

  #restoreBuffer({ entries, isIndirect, addedAt, segments }: BufferState): void {
    const head = entries[0]!;
    const at = head * HEAD_WORDS;
    this.#link(entries);
    this.#heads[at + SEGMENTS] = segments.length;
    this.#heads[at + ENTRIES] = entries.length;
    this.#heads[at + LAST] = entries.at(-1)!;
    this.#heads[at + WRITABLE] = segments.reduce((sum, { room }) => sum + room, 0);
    this.#heads[at + ADDED_AT] = addedAt;
    this.#heads[at + IS_INDIRECT] = isIndirect ? 1 : 0;
    this.#heads[at + MAPPED] = segments.filter(({ mapped }) => mapped !== NOT_MAPPED).length;
    for (const [i, { mapped, room }] of segments.entries()) {
      const entry = isIndirect ? this.tableEntry(head, i) : entries[i]!;
      this.#mapped[entry] = mapped;
      this.#room[entry] = room;
    }
  }

  /** Entries that are the head of an outstanding buffer, ascending. */
  #liveHeads(): number[] {
    const isHead = (entry: number): boolean => this.#heads[entry * HEAD_WORDS + SEGMENTS] !== NOT_A_HEAD;
    return Array.from({ length: this.#size }, (_, entry) => entry).filter(isHead);
  }

  #link(entries: readonly number[]): void {
    for (let i = 1; i < entries.length; i++) this.#next[entries[i - 1]!] = entries[i]!;
  }

  /** Unmaps `count` segments of a buffer. Written bytes fill the writable segments in order. */
  #unmap(head: number, count: number, isIndirect: boolean, written: number): void {
    let entry = isIndirect ? this.tableEntry(head, 0) : head;
    for (let i = 0; i < count; i++) {
      written = this.#unmapEntry(entry, written);
      entry = isIndirect ? entry + 1 : this.#next[entry]!;
    }
  }

  /** Unmaps one segment and returns how many written bytes are left for the ones behind it. */
  #unmapEntry(entry: number, written: number): number {
    const room = this.#room[entry]!;
    const here = written < room ? written : room;
    const id = this.#mapped[entry]!;
    if (id !== NOT_MAPPED) {
      this.#mapped[entry] = NOT_MAPPED;
      this.#mapping.unmap(id, here);
    }
    return written - here;
  }
}
