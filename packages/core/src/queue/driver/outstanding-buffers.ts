import { DmaDirection } from '../../dma/dma-region.ts';
import { DMA_NO_SPACE, DMA_TOO_LARGE, DMA_UNREACHABLE, type DmaMapping } from '../../dma/dma-mapping.ts';
import { ContractError } from '../../errors/coded-error.ts';
import { describeValue } from '../../errors/message-of.ts';
import type { BrokenReason } from '../ring/broken-reason.ts';
import { writeSegment } from '../ring/descriptor-table.ts';
import type { UsedEntries } from '../ring/used-entries.ts';
import { ClaimedEntry } from './claimed-entry.ts';
import { livesOf, type BufferLife } from './buffer-life.ts';
import type { BufferRecord, OutstandingBuffer } from './ring-inspection.ts';
import type { ScatterList } from './scatter-list.ts';
import { QUEUE_FULL, type UsedBatch, type UsedLengthPolicy, type VirtqueueOptions } from './virtqueue.ts';
import type { BufferState, SegmentState, VirtqueueState } from './virtqueue-state.ts';
/** A request takes descriptors of the ring itself, one for each segment. */
export const IN_RING = 0;
/** A request takes one descriptor, which refers to the indirect table of its head. */
export const IN_TABLE = 1;

/** Words of one array for each entry. One array for each of them would be one more to look up and to check. */
const ENTRY_WORDS = 4;
/** Device address of the segment that the entry describes: low word, then high word. */
const ADDRESS = 0;
/** Bytes of the segment. */
const LENGTH = 2;
/** Mapping id of the segment. */
const MAPPED = 3;
/** Mapping id of an entry without a mapped segment: the segment is premapped, or the entry has none. */
const NOT_MAPPED = 0xffff_ffff;

/** Words of one array for each head. */
const HEAD_WORDS = 4;
/**
 * Entries the buffer takes in the high half, its last entry in the low 15 bits; {@link NOT_A_HEAD} for a head of no
 * outstanding buffer.
 */
const PLACE = 0;
const NOT_A_HEAD = 0;
/** In {@link PLACE}: not all of its segments are premapped. */
const IS_MAPPED = 0x8000;
const LAST = 0x7fff;
/** Bytes the device may write. Once the buffer came back: entries freed before its own, free-running in 32 bits. */
const WRITABLE = 1;
const FREED_AT = 1;
/** Buffers added before it, free-running in 32 bits. */
const ADDED_AT = 2;
/** Its segments, which stay known after it came back: how many, less one, in the high half, the readable ones below. */
const SHAPE = 3;
/** In {@link SHAPE}: its segments are in its indirect table. */
const IS_INDIRECT = 0x8000_0000;
/** {@link SHAPE} of a head that had no buffer. */
const NOTHING_DESCRIBED = 0xffff_ffff;

/** End of the batch while no batch is being taken back. */
const NO_BATCH = -1;

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
  /** By entry: the next one of the buffer or of the free list. */
  readonly next: Uint16Array;
  /** Why the last used buffer was refused. */
  refusal: BrokenReason | undefined;
  readonly #size: number;
  readonly #tableEntries: number;
  readonly #mapping: DmaMapping;
  readonly #usedLength: UsedLengthPolicy;
  readonly #inOrder: boolean;
  /** By head, {@link HEAD_WORDS} apart. */
  readonly #heads: Uint32Array;
  /**
   * By entry, then by table entry, four words: device address of its segment in two words, bytes, and mapping id. Who
   * writes a descriptor writes the first three words here, too.
   */
  readonly entries: Uint32Array;
  /** By head: the bytes written to its last buffer that came back. */
  readonly #written: Uint32Array;
  /** With IN_ORDER: heads in the order in which they were added, as a ring. */
  readonly #order: Uint16Array;
  #oldest = 0;
  #freeHead = 0;
  #freeTail = 0;
  /** Entries freed and taken so far, both free-running in 32 bits; the entries of a new queue count as freed. */
  #freed = 0;
  #taken = 0;
  /**
   * Buffers so far. All run free in 32 bits, so that an old buffer differs from an unpublished one; a split ring holds
   * their low 16.
   */
  #added = 0;
  #published = 0;
  #returned = 0;
  /** {@link #added} at the {@link restore}: the descriptors of older buffers are not remembered. */
  #restoredAt = 0;
  /** With IN_ORDER: the buffer being taken back, and the bytes that count as written to it. */
  readonly #claim = new ClaimedEntry();
  /** With IN_ORDER: the last buffer of the used entry being taken back, and the bytes written to it. */
  #batchEnd = NO_BATCH;
  #batchLength = 0;

  /** `size` entries, each with a table of `tableEntries`. The mapping stays the caller's. */
  constructor(
    mapping: DmaMapping,
    size: number,
    tableEntries: number,
    { usedLength, inOrder = false }: Pick<VirtqueueOptions, 'usedLength' | 'inOrder'>,
  ) {
    this.#mapping = mapping;
    this.#size = size;
    this.#tableEntries = tableEntries;
    this.#usedLength = usedLength;
    this.#inOrder = inOrder;
    this.next = Uint16Array.from({ length: size }, (_, i) => (i + 1) % size);
    this.#heads = new Uint32Array(size * HEAD_WORDS);
    this.entries = new Uint32Array(size * (1 + tableEntries) * ENTRY_WORDS);
    for (let at = MAPPED; at < this.entries.length; at += ENTRY_WORDS) this.entries[at] = NOT_MAPPED;
    this.#written = new Uint32Array(size);
    this.#order = new Uint16Array(inOrder ? size : 0);
    this.#startAnew();
  }

  /** Buffers outstanding. */
  get count(): number {
    return (this.#added - this.#returned) | 0;
  }

  /** Free entries. */
  get free(): number {
    return (this.#freed - this.#taken) | 0;
  }

  /** Buffers added so far, free-running in 32 bits. */
  get added(): number {
    return this.#added;
  }

  /** Buffers published so far, free-running in 32 bits. */
  get published(): number {
    return this.#published;
  }

  /** Buffers that came back so far, free-running in 32 bits. */
  get returned(): number {
    return this.#returned;
  }

  /** Outstanding buffers that the device may return: the published ones. */
  get returnable(): number {
    return (this.#published - this.#returned) | 0;
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
    if (this.free < (useTable ? 1 : count)) return QUEUE_FULL;
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

  /** The first entry of the indirect table of a head, counted over the tables of all heads. */
  firstTableEntry(head: number): number {
    return head * this.#tableEntries;
  }

  /** The entry for segment `i` of a buffer in its indirect table: those of the tables follow those of the ring. */
  tableEntry(head: number, i: number): number {
    return this.#size + this.firstTableEntry(head) + i;
  }

  /**
   * Maps the segments of a request that are not premapped, with their device addresses in `list.words`. Returns a
   * negative reason where that fails; then every segment mapped before is unmapped, and the buffers are as before the
   * request.
   */
  map(list: ScatterList, isIndirect: boolean): number {
    const { next } = this;
    let entry = isIndirect ? this.tableEntry(this.#freeHead, 0) : this.#freeHead;
    for (let i = 0; i < list.count; i++) {
      if (list.premapped[i] !== 1) {
        const direction = i >= list.readable ? DmaDirection.FromDevice : DmaDirection.ToDevice;
        const id = this.#mapping.map(list.address[i]!, list.length[i]!, direction, list.words, i * 2);
        // One operation tells an id from a negative reason, and from what is no whole number.
        if ((id & 0x7fff_ffff) !== id) return this.#undo(i, isIndirect, id);
        this.entries[entry * ENTRY_WORDS + MAPPED] = id;
      }
      entry = isIndirect ? entry + 1 : next[entry]!;
    }
    return 0;
  }

  /** Remembers the segment that a descriptor has, at `entry`. */
  describe(entry: number, low: number, high: number, length: number): void {
    writeSegment(this.entries, entry * ENTRY_WORDS, low, high, length);
  }

  /**
   * Makes the request at {@link nextHead}, whose segments are mapped and described, outstanding and returns its head.
   * `last` is the last entry that it takes: the head itself where its segments are in its table.
   */
  add(list: ScatterList, last: number, isIndirect: boolean): number {
    const heads = this.#heads;
    const head = this.#freeHead;
    const count = list.count;
    const entries = isIndirect ? 1 : count;
    const at = head * HEAD_WORDS;
    heads[at + PLACE] = (entries << 16) | (list.mapped > 0 ? IS_MAPPED : 0) | last;
    heads[at + WRITABLE] = list.writableBytes;
    heads[at + ADDED_AT] = this.#added;
    heads[at + SHAPE] = (isIndirect ? IS_INDIRECT : 0) | ((count - 1) << 16) | list.readable;
    if (this.#inOrder) {
      const newest = this.#oldest + this.count;
      this.#order[newest < this.#size ? newest : newest - this.#size] = head;
    }
    this.#added = (this.#added + 1) | 0;
    this.#freeHead = this.next[last]!;
    this.#taken = (this.#taken + entries) | 0;
    return head;
  }

  /** Whether `head` is that of an outstanding buffer that is published. */
  isOutstanding(head: number): boolean {
    return isReturnable(this.#heads, head * HEAD_WORDS, this.#published);
  }

  /** Bytes the device may write to an outstanding buffer. */
  writableOf(head: number): number {
    return this.#heads[head * HEAD_WORDS + WRITABLE]!;
  }

  /**
   * Takes back the buffers of the used entries from `position` on, until `batch` has `most`. This is the only check of
   * a used buffer: its id is in range and outstanding, and its length within the writable part as the policy demands.
   * Returns the position behind them. Where the device broke a rule, {@link refusal} has the reason.
   *
   * What the loop changes is in locals: most of the driver's work on a used buffer is here.
   */
  takeBack(used: UsedEntries, position: number, most: number, batch: UsedBatch): number {
    const { ids, written: lengths } = batch;
    const { next } = this;
    const heads = this.#heads;
    const size = this.#size;
    const published = this.#published;
    const policy = this.#usedLength;
    const taken = this.#taken;
    const writtenOf = this.#written;
    let freed = this.#freed;
    let tail = this.#freeTail;
    let count = batch.count;
    while (count < most && used.isUsed(position)) {
      const id = used.usedIdAt(position);
      const length = used.usedLengthAt(position);
      const at = id * HEAD_WORDS;
      const isOutstanding = id < size && isReturnable(heads, at, published);
      const written = isOutstanding ? acceptedLength(policy, length, heads[at + WRITABLE]!) : -1;
      if (written < 0) {
        this.#refuse(id, length);
        break;
      }
      const place = heads[at + PLACE]!;
      if ((place & IS_MAPPED) !== 0) this.#unmapBuffer(id, written);
      // Freed entries go to the end of the list: they are reused as late as possible, and in order where buffers come
      // back so.
      if (freed === taken) this.#freeHead = id;
      else next[tail] = id;
      tail = place & LAST;
      heads[at + PLACE] = NOT_A_HEAD;
      heads[at + FREED_AT] = freed;
      writtenOf[id] = written;
      const entries = place >>> 16;
      freed = (freed + entries) | 0;
      ids[count] = id;
      lengths[count++] = written;
      position = used.positionBehind(position, entries);
    }
    this.#freed = freed;
    this.#freeTail = tail;
    this.#returned = (this.#returned + count - batch.count) | 0;
    batch.count = count;
    return position;
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
      this.refusal = { code: 'used-id-not-outstanding', detail: `used id ${id} is not outstanding` };
      return false;
    }
    this.#batchEnd = id;
    this.#batchLength = length;
    return true;
  }

  /**
   * Takes back the oldest buffer of the batch that {@link beginBatch} began. Those before its last one count as
   * completely used. Returns the entries that it freed (1 or more), or 0 where the device broke a rule; then
   * {@link refusal} has the reason.
   */
  completeOldest(batch: UsedBatch): number {
    const head = this.oldestHead;
    const isEnd = head === this.#batchEnd;
    const { count } = batch;
    this.#claim.id = head;
    this.#claim.length = isEnd ? this.#batchLength : this.writableOf(head);
    const entries = this.#heads[head * HEAD_WORDS + PLACE]! >>> 16;
    this.takeBack(this.#claim, 0, count + 1, batch);
    if (batch.count === count) return 0;
    if (isEnd) this.#batchEnd = NO_BATCH;
    this.#oldest = this.#oldest + 1 === this.#size ? 0 : this.#oldest + 1;
    return entries;
  }

  /** Removes all buffers, nothing written, and returns their heads; then everything is as after construction. Cold. */
  removeAll(): number[] {
    const heads = this.#liveHeads();
    for (const head of heads) this.#unmapBuffer(head, 0);
    this.#startAnew();
    return heads;
  }

  /** What is outstanding, published or not, the oldest first. Cold. */
  list(): OutstandingBuffer[] {
    const buffers = this.#liveHeads().map((id) => ({
      id,
      segments: this.#segmentsOf(id),
      age: this.#ageOf(id) - 1,
      writableBytes: this.writableOf(id),
      isIndirect: this.#isIndirect(id),
      position: this.#heads[id * HEAD_WORDS + ADDED_AT]! & 0xffff,
    }));
    return buffers.toSorted((one, other) => other.age - one.age);
  }

  /**
   * What the driver wrote of each buffer whose descriptors it wrote for no other one since, outstanding or not, the
   * newest first. Buffers that were added before a {@link restore} are not among them: its state has no addresses.
   * Cold.
   */
  records(): BufferRecord[] {
    return Array.from({ length: this.#size }, (_, head) => head)
      .filter((head) => this.#isDescribed(head))
      .toSorted((one, other) => this.#ageOf(one) - this.#ageOf(other))
      .map((head) => this.#recordOf(head));
  }

  /** What is still known of the last buffers. Cold. */
  lives(): BufferLife[] {
    return livesOf(this.records(), this.#returned, (id) => ({
      freed: (this.#heads[id * HEAD_WORDS + FREED_AT]! - this.#freed) | 0,
      readable: this.#heads[id * HEAD_WORDS + SHAPE]! & 0xffff,
      written: this.#written[id]!,
    }));
  }

  /**
   * Whether the descriptors of the last buffer at this head are still its own: it is outstanding, or no entry was taken
   * from the free list since that was freed with it or after it.
   */
  #isDescribed(head: number): boolean {
    const at = head * HEAD_WORDS;
    if (this.#heads[at + SHAPE] === NOTHING_DESCRIBED) return false;
    if (((this.#heads[at + ADDED_AT]! - this.#restoredAt) | 0) < 0) return false;
    return this.#isHead(head) || ((this.#heads[at + FREED_AT]! - this.#taken) | 0) >= 0;
  }

  #recordOf(head: number): BufferRecord {
    const at = head * HEAD_WORDS;
    const isIndirect = this.#isIndirect(head);
    const first = this.tableEntry(head, 0);
    const segments = this.#entriesOf(head).map((entry, i) => {
      const [low, high, length] = this.entries.subarray(entry * ENTRY_WORDS + ADDRESS);
      const address = (BigInt(high!) << 32n) | BigInt(low!);
      return {
        entry: isIndirect ? entry - first : entry,
        address,
        length: length!,
        room: this.#roomOf(head, i, entry),
      };
    });
    return { id: head, isOutstanding: this.#isHead(head), addedAt: this.#heads[at + ADDED_AT]!, isIndirect, segments };
  }

  /** The state for {@link restore}. Cold. */
  save(): Pick<VirtqueueState, 'added' | 'free' | 'buffers' | 'batchEnd' | 'batchLength'> {
    const free: number[] = [];
    for (let entry = this.#freeHead; free.length < this.free; entry = this.next[entry]!) free.push(entry);
    const buffers = this.#liveHeads()
      .toSorted((one, other) => this.#ageOf(other) - this.#ageOf(one))
      .map((head) => this.#saveBuffer(head));
    return { batchEnd: this.#batchEnd, batchLength: this.#batchLength, added: this.#added >>> 0, free, buffers };
  }

  /** Takes over a state that {@link save} gave. Only as after construction. Cold. */
  restore({ added, free, buffers, batchEnd, batchLength }: VirtqueueState): void {
    this.#added = added | 0;
    this.#published = this.#added;
    this.#restoredAt = this.#added;
    this.#returned = (this.#added - buffers.length) | 0;
    this.#batchEnd = batchEnd;
    this.#batchLength = batchLength;
    this.#taken = this.#size - free.length;
    this.#link(free);
    this.#freeHead = free[0] ?? 0;
    this.#freeTail = free.at(-1) ?? 0;
    for (const [i, buffer] of buffers.entries()) {
      this.#restoreBuffer(buffer);
      if (this.#inOrder) this.#order[i] = buffer.entries[0]!;
    }
  }

  #saveBuffer(head: number): BufferState {
    const isIndirect = this.#isIndirect(head);
    const entries = this.#entriesOf(head);
    const segments = entries.map((entry, i): SegmentState => {
      const mapped = this.entries[entry * ENTRY_WORDS + MAPPED]! | 0;
      return { mapped, room: this.#roomOf(head, i, entry) };
    });
    const addedAt = this.#heads[head * HEAD_WORDS + ADDED_AT]!;
    return { entries: isIndirect ? [head] : entries, isIndirect, addedAt, segments };
  }

  /** Its descriptors are not remembered: the state has neither their addresses nor how long a readable segment is. */
  #restoreBuffer({ entries, isIndirect, addedAt, segments }: BufferState): void {
    const head = entries[0]!;
    const at = head * HEAD_WORDS;
    const isMapped = segments.some(({ mapped }) => mapped >= 0);
    const readable = segments.filter(({ room }) => room === 0).length;
    this.#link(entries);
    this.#heads[at + PLACE] = (entries.length << 16) | (isMapped ? IS_MAPPED : 0) | entries.at(-1)!;
    this.#heads[at + WRITABLE] = segments.reduce((sum, { room }) => sum + room, 0);
    this.#heads[at + ADDED_AT] = addedAt;
    this.#heads[at + SHAPE] = (isIndirect ? IS_INDIRECT : 0) | ((segments.length - 1) << 16) | readable;
    for (const [i, entry] of this.#entriesOf(head).entries()) {
      this.entries[entry * ENTRY_WORDS + LENGTH] = segments[i]!.room;
      this.entries[entry * ENTRY_WORDS + MAPPED] = segments[i]!.mapped;
    }
  }

  /** Entries that are the head of an outstanding buffer, ascending. */
  #liveHeads(): number[] {
    return Array.from({ length: this.#size }, (_, entry) => entry).filter((entry) => this.#isHead(entry));
  }

  /** Whether an entry is the head of an outstanding buffer. */
  #isHead(entry: number): boolean {
    return this.#heads[entry * HEAD_WORDS + PLACE] !== NOT_A_HEAD;
  }

  /** Buffers added since the last one at this head, and this one. */
  #ageOf(head: number): number {
    return (this.#added - this.#heads[head * HEAD_WORDS + ADDED_AT]!) >>> 0;
  }

  #isIndirect(head: number): boolean {
    return (this.#heads[head * HEAD_WORDS + SHAPE]! & IS_INDIRECT) !== 0;
  }

  #segmentsOf(head: number): number {
    return ((this.#heads[head * HEAD_WORDS + SHAPE]! & ~IS_INDIRECT) >>> 16) + 1;
  }

  /** The entry of each segment of the last buffer at this head. */
  #entriesOf(head: number): number[] {
    const isIndirect = this.#isIndirect(head);
    let entry = isIndirect ? this.tableEntry(head, 0) : head;
    return Array.from({ length: this.#segmentsOf(head) }, () => {
      const here = entry;
      entry = isIndirect ? entry + 1 : this.next[entry]!;
      return here;
    });
  }

  /** Bytes the device may write to segment `i` of the last buffer at this head, which is at `entry`. */
  #roomOf(head: number, i: number, entry: number): number {
    const readable = this.#heads[head * HEAD_WORDS + SHAPE]! & 0xffff;
    return i < readable ? 0 : this.entries[entry * ENTRY_WORDS + LENGTH]!;
  }

  #link(entries: readonly number[]): void {
    for (let i = 1; i < entries.length; i++) this.next[entries[i - 1]!] = entries[i]!;
  }

  /** Nothing is outstanding, and nothing was. */
  #startAnew(): void {
    const size = this.#size;
    for (let entry = 0; entry < size; entry++) this.next[entry] = (entry + 1) % size;
    for (let at = 0; at < this.#heads.length; at += HEAD_WORDS) {
      this.#heads[at + PLACE] = NOT_A_HEAD;
      this.#heads[at + SHAPE] = NOTHING_DESCRIBED;
    }
    this.#freeHead = 0;
    this.#freeTail = size - 1;
    this.#freed = size;
    this.#taken = 0;
    this.#oldest = 0;
    this.#added = 0;
    this.#published = 0;
    this.#returned = 0;
    this.#restoredAt = 0;
    this.refusal = undefined;
    this.#batchEnd = NO_BATCH;
  }

  /** Unmaps the first `count` segments of a request that could not be mapped whole, and returns `reason`. */
  #undo(count: number, isIndirect: boolean, reason: number): number {
    this.#unmap(this.#freeHead, count, isIndirect, count, 0);
    if (reason !== DMA_NO_SPACE && reason !== DMA_TOO_LARGE && reason !== DMA_UNREACHABLE) {
      const what = `returned ${describeValue(reason)}, which is neither an id from 0 to 0x7fffffff nor a DMA_* reason`;
      throw new ContractError('platform', 'map', what);
    }
    return reason;
  }

  /** Notes why a used buffer is refused: it is not outstanding, or its length is too large. */
  #refuse(id: number, length: number): void {
    if (id >= this.#size) {
      this.refusal = { code: 'used-id-out-of-range', detail: `used id ${id} in a queue of ${this.#size}` };
    } else if (!this.isOutstanding(id)) {
      this.refusal = { code: 'used-id-not-outstanding', detail: `used id ${id} is not outstanding` };
    } else {
      const room = `which has ${this.writableOf(id)} writable bytes`;
      this.refusal = { code: 'used-length-too-large', detail: `${length} bytes written to buffer ${id}, ${room}` };
    }
  }

  #unmapBuffer(head: number, written: number): void {
    const readable = this.#heads[head * HEAD_WORDS + SHAPE]! & 0xffff;
    this.#unmap(head, this.#segmentsOf(head), this.#isIndirect(head), readable, written);
  }

  /**
   * Unmaps `count` segments of a buffer, of which the device could write those behind the first `readable`. Written
   * bytes fill these in order.
   */
  #unmap(head: number, count: number, isIndirect: boolean, readable: number, written: number): void {
    const entries = this.entries;
    let entry = isIndirect ? this.tableEntry(head, 0) : head;
    for (let i = 0; i < count; i++) {
      const at = entry * ENTRY_WORDS;
      const writable = i < readable ? 0 : entries[at + LENGTH]!;
      const here = written < writable ? written : writable;
      written -= here;
      const id = entries[at + MAPPED]!;
      if (id !== NOT_MAPPED) {
        entries[at + MAPPED] = NOT_MAPPED;
        this.#mapping.unmap(id, here);
      }
      entry = isIndirect ? entry + 1 : this.next[entry]!;
    }
  }
}

/** Whether the head at `at` is that of an outstanding buffer, added before `published` buffers were. Hot. */
function isReturnable(heads: Uint32Array, at: number, published: number): boolean {
  return heads[at + PLACE] !== NOT_A_HEAD && ((heads[at + ADDED_AT]! - published) | 0) < 0;
}

/** How many of `length` bytes count for a buffer with `writable` bytes, or -1 where that many break the queue. Hot. */
function acceptedLength(policy: UsedLengthPolicy, length: number, writable: number): number {
  if (policy === 'ignore') return writable;
  if (length <= writable) return length;
  return policy === 'strict' ? -1 : writable;
}
