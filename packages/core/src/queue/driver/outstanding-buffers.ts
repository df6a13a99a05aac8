import { DmaDirection } from '../../dma/dma-region.ts';
import { DMA_NO_SPACE, DMA_TOO_LARGE, DMA_UNREACHABLE, type DmaMapping } from '../../dma/dma-mapping.ts';
import { ContractError } from '../../errors/coded-error.ts';
import { describeValue } from '../../errors/message-of.ts';
import type { BrokenCode, BrokenReason } from '../ring/broken-reason.ts';
import type { BufferRecord, OutstandingBuffer } from './ring-inspection.ts';
import type { ScatterList } from './scatter-list.ts';
import { QUEUE_FULL, type UsedBatch, type UsedLengthPolicy } from './virtqueue.ts';
import type { BufferState, SegmentState, VirtqueueState } from './virtqueue-state.ts';
/** A request takes descriptors of the ring itself, one for each segment. */
export const IN_RING = 0;
/** A request takes one descriptor, which refers to the indirect table of its head. */
export const IN_TABLE = 1;

/** Mapping id of an entry without a mapped segment: the segment is premapped, or the entry has none. */
const NOT_MAPPED = -1;
/** Segments of an entry that is the head of no outstanding buffer. */
const NOT_A_HEAD = 0;
/** End of the batch while no batch is being taken back. */
const NO_BATCH = -1;

/** Words of one array for each head. One array for each of them would be one more to look up and to check. */
const HEAD_WORDS = 8;
/** Segments of the buffer, {@link NOT_A_HEAD} while the entry is not a head. */
const SEGMENTS = 0;
/** Entries the buffer takes. */
const ENTRIES = 1;
/** Its last entry. */
const LAST = 2;
/** Bytes the device may write. */
const WRITABLE = 3;
/** Buffers added before it, free-running in 32 bits. */
const ADDED_AT = 4;
/** Whether its segments are in its indirect table. */
const IS_INDIRECT = 5;
/** Segments mapped with it: those that are not premapped. With 0, there is nothing to unmap. */
const MAPPED = 6;
/** Segments, which stay known after the buffer came back. */
const DESCRIBED = 7;

/**
 * A driver's private memory of the buffers it gave to the device, for either layout: which buffers are outstanding,
 * their segments, and the mapping of each. The driver reads none of it back from shared memory, and checks each used
 * buffer against it.
 *
 * A buffer takes entries from a free list: one for each segment, or one in all when its segments are in an indirect
 * table. Its first entry is its head: the descriptor index of a split ring, the buffer id of a packed one. Hot: no
 * allocation.
 */
export class OutstandingBuffers {
  /** By entry, then by table entry: the device address of its segment, in two words. */
  readonly deviceAddresses: Uint32Array;
  /**
   * By entry: {@link added} at the time at which it, or its table, was written last, also for a buffer that was not
   * added. The end of the queue that calls {@link map} keeps it.
   */
  readonly describedFor: Uint32Array;
  /** Why the last used buffer was refused. */
  refusal: BrokenReason | undefined;
  readonly #size: number;
  readonly #tableEntries: number;
  readonly #mapping: DmaMapping;
  readonly #usedLength: UsedLengthPolicy;
  /** By entry: the next one of the buffer or of the free list. */
  readonly #next: Uint16Array;
  /** By head, {@link HEAD_WORDS} apart. */
  readonly #heads: Uint32Array;
  /** By entry, then by table entry: mapping id, bytes of the segment, and bytes the device may write there. */
  readonly #mapped: Int32Array;
  readonly #lengths: Uint32Array;
  readonly #writable: Uint32Array;
  /** Heads in the order in which they were added, as a ring. Valid while buffers are removed in that order. */
  readonly #order: Uint16Array;
  #oldest = 0;
  #freeHead = 0;
  #freeTail = 0;
  #free = 0;
  #count = 0;
  /**
   * Both run free in 32 bits, so that an old buffer differs from an unpublished one; a split ring holds their low 16.
   */
  #added = 0;
  #published = 0;
  /** Segments mapped of the request that is being described. */
  #mappedSegments = 0;
  /** With IN_ORDER: the last buffer of the used entry being taken back, and the bytes written to it. */
  #batchEnd = NO_BATCH;
  #batchLength = 0;

  /** `size` entries, each with a table of `tableEntries`. The mapping stays the caller's. */
  constructor(mapping: DmaMapping, size: number, tableEntries: number, usedLength: UsedLengthPolicy) {
    const entries = size * (1 + tableEntries);
    this.#mapping = mapping;
    this.#size = size;
    this.#tableEntries = tableEntries;
    this.#usedLength = usedLength;
    this.#next = Uint16Array.from({ length: size }, (_, i) => (i + 1) % size);
    this.#heads = new Uint32Array(size * HEAD_WORDS);
    this.#mapped = new Int32Array(entries).fill(NOT_MAPPED);
    this.deviceAddresses = new Uint32Array(entries * 2);
    this.#lengths = new Uint32Array(entries);
    this.#writable = new Uint32Array(entries);
    this.describedFor = new Uint32Array(size);
    this.#order = new Uint16Array(size);
    this.#freeTail = size - 1;
    this.#free = size;
  }

  /** Buffers outstanding. */
  get count(): number {
    return this.#count;
  }

  /** Free entries. */
  get free(): number {
    return this.#free;
  }

  /** Buffers added so far, free-running in 32 bits. */
  get added(): number {
    return this.#added;
  }

  /** Buffers published so far, free-running in 32 bits. */
  get published(): number {
    return this.#published;
  }

  /** Outstanding buffers that the device may return: the published ones. */
  get returnable(): number {
    return this.#count - ((this.#added - this.#published) | 0);
  }

  /** The device may return every buffer added so far. */
  publish(): void {
    this.#published = this.#added;
  }

  /**
   * The place for the request in `list`: {@link IN_TABLE}, {@link IN_RING}, or `QUEUE_FULL` for now. Throws `TypeError`
   * or `RangeError` for one that fits in neither: a chain is no longer than the queue, even through a table (section
   * 2.7.5.3.1).
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

  /**
   * The buffer added first of those outstanding. Valid while buffers are removed in the order in which they were added.
   */
  get oldestHead(): number {
    return this.#order[this.#oldest]!;
  }

  /** The entry behind one of a buffer, or behind a free one. */
  entryAfter(entry: number): number {
    return this.#next[entry]!;
  }

  /** The first entry of the indirect table of a head, counted over the tables of all heads. */
  firstTableEntry(head: number): number {
    return head * this.#tableEntries;
  }

  /** The entry for segment `i` of a buffer in its indirect table: those of the tables follow those of the ring. */
  tableEntry(head: number, i: number): number {
    return this.#size + this.firstTableEntry(head) + i;
  }

  /**
   * Maps segment `i` of a request, and remembers it at `entry`, with its address in {@link deviceAddresses}. Returns a
   * negative reason where that fails; then every segment mapped before is unmapped, and the buffers are as before the
   * request.
   */
  map(list: ScatterList, i: number, entry: number): number {
    const isWritable = i >= list.readable;
    const length = list.length[i]!;
    this.#lengths[entry] = length;
    this.#writable[entry] = isWritable ? length : 0;
    if (list.premapped[i] === 1) {
      this.deviceAddresses[entry * 2] = list.words[i * 2]!;
      this.deviceAddresses[entry * 2 + 1] = list.words[i * 2 + 1]!;
      return 0;
    }
    const direction = isWritable ? DmaDirection.FromDevice : DmaDirection.ToDevice;
    const id = this.#mapping.map(list.address[i]!, length, direction, this.deviceAddresses, entry * 2);
    // One operation tells an id from a negative reason, and from what is no whole number.
    if ((id & 0x7fff_ffff) !== id) return this.#undo(i, entry >= this.#size, id);
    this.#mapped[entry] = id;
    this.#mappedSegments++;
    return id;
  }

  /**
   * Makes the request at {@link nextHead}, every segment of which is mapped, outstanding and returns its head. `last`
   * is the last entry that it takes: the head itself where its segments are in its table.
   */
  add(list: ScatterList, last: number, isIndirect: boolean): number {
    const head = this.#freeHead;
    const entries = isIndirect ? 1 : list.count;
    const at = head * HEAD_WORDS;
    this.#heads[at + SEGMENTS] = list.count;
    this.#heads[at + ENTRIES] = entries;
    this.#heads[at + LAST] = last;
    this.#heads[at + WRITABLE] = list.writableBytes;
    this.#heads[at + ADDED_AT] = this.#added;
    this.#heads[at + IS_INDIRECT] = isIndirect ? 1 : 0;
    this.#heads[at + MAPPED] = this.#mappedSegments;
    this.#heads[at + DESCRIBED] = list.count;
    this.#mappedSegments = 0;
    this.#added = (this.#added + 1) | 0;
    const newest = this.#oldest + this.#count;
    this.#order[newest < this.#size ? newest : newest - this.#size] = head;
    this.#freeHead = this.#next[last]!;
    this.#free -= entries;
    this.#count++;
    return head;
  }

  /** Whether `head` is that of an outstanding buffer that is published. */
  isOutstanding(head: number): boolean {
    const at = head * HEAD_WORDS;
    return this.#heads[at + SEGMENTS] !== NOT_A_HEAD && ((this.#heads[at + ADDED_AT]! - this.#published) | 0) < 0;
  }

  /** Bytes the device may write to an outstanding buffer. */
  writableOf(head: number): number {
    return this.#heads[head * HEAD_WORDS + WRITABLE]!;
  }

  /**
   * Takes back the buffer that the device returned as `id`, with `length` bytes written, into `batch`. This is the only
   * check of a used buffer: its id is in range and outstanding, and its length within the writable part as the policy
   * demands. Returns the entries that it freed (1 or more), or 0 where the device broke a rule; then {@link refusal}
   * has the reason.
   */
  complete(id: number, length: number, batch: UsedBatch): number {
    if (id >= this.#size) return this.#refuse('used-id-out-of-range', `used id ${id} in a queue of ${this.#size}`);
    if (!this.isOutstanding(id)) return this.#refuse('used-id-not-outstanding', `used id ${id} is not outstanding`);
    const writable = this.writableOf(id);
    const written = acceptedLength(this.#usedLength, length, writable);
    if (written < 0) {
      const detail = `${length} bytes written to buffer ${id}, which has ${writable} writable bytes`;
      return this.#refuse('used-length-too-large', detail);
    }
    const entries = this.remove(id, written);
    batch.ids[batch.count] = id;
    batch.written[batch.count] = written;
    batch.count++;
    return entries;
  }

  /** With IN_ORDER: the last buffer of the used entry being taken back, or -1 between two of them. */
  get batchEnd(): number {
    return this.#batchEnd;
  }

  /**
   * With IN_ORDER: begins to take back a used entry, which stands for every buffer up to `id` (sections 2.7.9 and
   * 2.8.8). Returns whether `id` is outstanding; if not, {@link refusal} has the reason.
   */
  beginBatch(id: number, length: number): boolean {
    if (id >= this.#size || !this.isOutstanding(id)) {
      this.#refuse('used-id-not-outstanding', `used id ${id} is not outstanding`);
      return false;
    }
    this.#batchEnd = id;
    this.#batchLength = length;
    return true;
  }

  /**
   * Takes back the oldest buffer of the batch that {@link beginBatch} began. Those before its last one count as
   * completely used. Returns as {@link complete}.
   */
  completeOldest(batch: UsedBatch): number {
    const head = this.oldestHead;
    if (head !== this.#batchEnd) return this.complete(head, this.writableOf(head), batch);
    this.#batchEnd = NO_BATCH;
    return this.complete(head, this.#batchLength, batch);
  }

  /** Unmaps a buffer of which `written` bytes were written, and frees its entries. Returns how many. */
  remove(head: number, written: number): number {
    const at = head * HEAD_WORDS;
    const segments = this.#heads[at + SEGMENTS]!;
    const entries = this.#heads[at + ENTRIES]!;
    if (this.#heads[at + MAPPED] !== 0) this.#unmap(head, segments, this.#heads[at + IS_INDIRECT] === 1, written);
    // Freed entries go to the end of the list: they are reused as late as possible, and in order where buffers come
    // back so.
    if (this.#free === 0) this.#freeHead = head;
    else this.#next[this.#freeTail] = head;
    this.#freeTail = this.#heads[at + LAST]!;
    this.#free += entries;
    this.#heads[at + SEGMENTS] = NOT_A_HEAD;
    this.#oldest = this.#oldest + 1 === this.#size ? 0 : this.#oldest + 1;
    this.#count--;
    return entries;
  }

  /** Removes all buffers, nothing written, and returns their heads; then everything is as after construction. Cold. */
  removeAll(): number[] {
    const heads = this.#liveHeads();
    for (const head of heads) this.remove(head, 0);
    for (let entry = 0; entry < this.#size; entry++) this.#next[entry] = (entry + 1) % this.#size;
    this.#freeHead = 0;
    this.#freeTail = this.#size - 1;
    for (let head = 0; head < this.#size; head++) this.#heads[head * HEAD_WORDS + DESCRIBED] = 0;
    this.#oldest = 0;
    this.#added = 0;
    this.#published = 0;
    this.#batchEnd = NO_BATCH;
    return heads;
  }

  /** What is outstanding, published or not, the oldest first. Cold. */
  list(): OutstandingBuffer[] {
    const buffers = this.#liveHeads().map((id) => {
      const at = id * HEAD_WORDS;
      return {
        id,
        segments: this.#heads[at + SEGMENTS]!,
        age: ((this.#added - this.#heads[at + ADDED_AT]!) >>> 0) - 1,
        writableBytes: this.#heads[at + WRITABLE]!,
        isIndirect: this.#heads[at + IS_INDIRECT] === 1,
        position: this.#heads[at + ADDED_AT]! & 0xffff,
      };
    });
    return buffers.toSorted((one, other) => other.age - one.age);
  }

  /**
   * What the driver wrote of each buffer whose descriptors it wrote for no other one since, outstanding or not, the
   * newest first. Buffers that were added before a {@link restore} are not among them: its state has no addresses.
   * Cold.
   */
  records(): BufferRecord[] {
    const ago = (head: number): number => (this.#added - this.#heads[head * HEAD_WORDS + ADDED_AT]!) >>> 0;
    const described = Array.from({ length: this.#size }, (_, head) => head).filter(
      (head) => this.#heads[head * HEAD_WORDS + DESCRIBED] !== 0,
    );
    return described
      .toSorted((one, other) => ago(one) - ago(other))
      .flatMap((head) => {
        const record = this.#recordOf(head);
        const entries = record.isIndirect ? [head] : record.segments.map(({ entry }) => entry);
        return entries.every((entry) => this.describedFor[entry] === record.addedAt) ? [record] : [];
      });
  }

  #recordOf(head: number): BufferRecord {
    const at = head * HEAD_WORDS;
    const isIndirect = this.#heads[at + IS_INDIRECT] === 1;
    const first = this.tableEntry(head, 0);
    let entry = isIndirect ? first : head;
    const segments = Array.from({ length: this.#heads[at + DESCRIBED]! }, () => {
      const here = entry;
      entry = isIndirect ? entry + 1 : this.#next[entry]!;
      const [low, high] = this.deviceAddresses.subarray(here * 2, here * 2 + 2);
      const address = (BigInt(high!) << 32n) | BigInt(low!);
      const [length, room] = [this.#lengths[here]!, this.#writable[here]!];
      return { entry: isIndirect ? here - first : here, address, length, room };
    });
    const isOutstanding = this.#heads[at + SEGMENTS] !== NOT_A_HEAD;
    return { id: head, isOutstanding, addedAt: this.#heads[at + ADDED_AT]!, isIndirect, segments };
  }

  /** The state for {@link restore}. Cold. */
  save(): Pick<VirtqueueState, 'added' | 'free' | 'buffers' | 'batchEnd' | 'batchLength'> {
    const free: number[] = [];
    for (let entry = this.#freeHead; free.length < this.#free; entry = this.#next[entry]!) free.push(entry);
    const age = (head: number): number => (this.#added - this.#heads[head * HEAD_WORDS + ADDED_AT]!) >>> 0;
    const buffers = this.#liveHeads()
      .toSorted((a, b) => age(b) - age(a))
      .map((head) => this.#saveBuffer(head));
    return { batchEnd: this.#batchEnd, batchLength: this.#batchLength, added: this.#added >>> 0, free, buffers };
  }

  /** Takes over a state that {@link save} gave. Only as after construction. Cold. */
  restore({ added, free, buffers, batchEnd, batchLength }: VirtqueueState): void {
    this.#added = added | 0;
    this.#published = this.#added;
    this.#batchEnd = batchEnd;
    this.#batchLength = batchLength;
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
    for (let i = 0, entry = head; i < this.#heads[at + ENTRIES]!; i++, entry = this.#next[entry]!) entries.push(entry);
    const segments = Array.from({ length: this.#heads[at + SEGMENTS]! }, (_, i): SegmentState => {
      const entry = isIndirect ? this.tableEntry(head, i) : entries[i]!;
      return { mapped: this.#mapped[entry]!, room: this.#writable[entry]! };
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
      this.#writable[entry] = room;
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

  /** Unmaps the first `count` segments of a request that could not be mapped whole, and returns `reason`. */
  #undo(count: number, isIndirect: boolean, reason: number): number {
    this.#unmap(this.#freeHead, count, isIndirect, 0);
    this.#mappedSegments = 0;
    if (reason !== DMA_NO_SPACE && reason !== DMA_TOO_LARGE && reason !== DMA_UNREACHABLE) {
      const what = `returned ${describeValue(reason)}, which is neither an id from 0 to 0x7fffffff nor a DMA_* reason`;
      throw new ContractError('platform', 'map', what);
    }
    return reason;
  }

  #refuse(code: BrokenCode, detail: string): 0 {
    this.refusal = { code, detail };
    return 0;
  }

  /** Unmaps `count` segments of a buffer. Written bytes fill the writable segments in order. */
  #unmap(head: number, count: number, isIndirect: boolean, written: number): void {
    let entry = isIndirect ? this.tableEntry(head, 0) : head;
    for (let i = 0; i < count; i++) {
      written = this.#unmapEntry(entry, written);
      entry = isIndirect ? entry + 1 : this.#next[entry]!;
    }
  }

  /** Unmaps one segment and returns the written bytes that remain for the segments behind it. */
  #unmapEntry(entry: number, written: number): number {
    const writable = this.#writable[entry]!;
    const here = written < writable ? written : writable;
    const id = this.#mapped[entry]!;
    if (id !== NOT_MAPPED) {
      this.#mapped[entry] = NOT_MAPPED;
      this.#mapping.unmap(id, here);
    }
    return written - here;
  }
}

/** How many of `length` bytes count for a buffer with `writable` bytes, or -1 where that many break the queue. Hot. */
function acceptedLength(policy: UsedLengthPolicy, length: number, writable: number): number {
  if (policy === 'ignore') return writable;
  if (length <= writable) return length;
  return policy === 'strict' ? -1 : writable;
}
