import type { QueueLayout } from '../ring/ring-format.ts';
import { checkSaved, savedInteger, savedList, savedRecord } from '../ring/saved-value.ts';

/** A segment of a buffer that the device has. */
export interface SegmentState {
  /** Id that `DmaMapping.map` gave, -1 for one that was premapped. */
  readonly mapped: number;
  /** Bytes the device may write there, 0 for a segment that it reads. */
  readonly room: number;
}

/** A buffer that the device has. */
export interface BufferState {
  /** The entries it takes, its head first. */
  readonly entries: readonly number[];
  readonly isIndirect: boolean;
  /** Buffers added before it, in 32 bits. */
  readonly addedAt: number;
  readonly segments: readonly SegmentState[];
}

/**
 * A saved driver's end, as plain data that survives JSON. The other fields of the queue follow from it: the buffers
 * that were made available are the used ones and those the device has. The bytes of the ring are not part of it; they
 * stay where they are, or move with guest memory.
 */
export interface VirtqueueState {
  readonly layout: QueueLayout;
  readonly size: number;
  /** Entries of each indirect table. */
  readonly tableEntries: number;
  /** Of a packed ring: the position of the next used descriptor. A split ring's used index follows from the buffers. */
  readonly usedPosition: number;
  /** With IN_ORDER: the last buffer of a used entry that is taken back in parts, -1 outside of one. */
  readonly batchEnd: number;
  /** The bytes written to that buffer. */
  readonly batchLength: number;
  /** Buffers added so far, in 32 bits. */
  readonly added: number;
  /** Free entries, the one to be taken next first. */
  readonly free: readonly number[];
  /** The buffers that the device has, oldest first. */
  readonly buffers: readonly BufferState[];
}

const MAX_SIZE = 32_768;
const MAX_WORD = 0xffff_ffff;

/** Checks a value from outside as a saved driver's end. Throws {@link CodedError} `ERR_QUEUE_STATE`. */
export function checkVirtqueueState(value: unknown): VirtqueueState {
  const record = savedRecord(value, 'it');
  const { layout } = record;
  checkSaved(layout === 'split' || layout === 'packed', 'its layout is neither split nor packed');
  const size = savedInteger(record['size'], 1, MAX_SIZE, 'its size');
  checkSaved(layout === 'packed' || (size & (size - 1)) === 0, `a split queue does not have ${size} entries`);
  const tableEntries = savedInteger(record['tableEntries'], 0, size, 'tableEntries');
  const usedPosition = savedInteger(record['usedPosition'], 0, 0xffff, 'usedPosition');
  checkSaved((usedPosition & 0x7fff) < size, `slot ${usedPosition & 0x7fff} is beyond its ${size} entries`);
  const added = savedInteger(record['added'], 0, MAX_WORD, 'added');
  const free = savedList(record['free'], size, 'free').map((entry) => savedInteger(entry, 0, size - 1, 'an entry'));
  const buffers = savedList(record['buffers'], size, 'buffers').map((buffer) =>
    checkBuffer(buffer, size, tableEntries),
  );
  const state: VirtqueueState = {
    layout,
    size,
    tableEntries,
    usedPosition,
    batchEnd: savedInteger(record['batchEnd'], -1, size - 1, 'batchEnd'),
    batchLength: savedInteger(record['batchLength'], 0, MAX_WORD, 'batchLength'),
    added,
    free,
    buffers,
  };
  checkEntries(state);
  checkAges(state);
  checkMappings(state);
  const isOutstanding = buffers.some(({ entries }) => entries[0] === state.batchEnd);
  checkSaved(state.batchEnd < 0 || isOutstanding, 'it is in the middle of a batch whose end is not outstanding');
  return state;
}

function checkBuffer(value: unknown, size: number, tableEntries: number): BufferState {
  const record = savedRecord(value, 'a buffer');
  const { isIndirect } = record;
  checkSaved(typeof isIndirect === 'boolean', 'isIndirect is neither true nor false');
  const entries = savedList(record['entries'], size, 'entries').map((entry) =>
    savedInteger(entry, 0, size - 1, 'an entry'),
  );
  const segments = savedList(record['segments'], isIndirect ? tableEntries : size, 'segments').map(checkSegment);
  checkSaved(segments.length > 0, 'a buffer has no segments');
  checkSaved(entries.length === (isIndirect ? 1 : segments.length), 'a buffer has too few or too many entries');
  const firstWritable = segments.findIndex(({ room }) => room > 0);
  const isInOrder = segments.every(({ room }, i) => room > 0 === (firstWritable >= 0 && i >= firstWritable));
  checkSaved(isInOrder, 'a buffer has a readable segment behind a writable one');
  return { entries, isIndirect, segments, addedAt: savedInteger(record['addedAt'], 0, MAX_WORD, 'addedAt') };
}

function checkSegment(value: unknown): SegmentState {
  const record = savedRecord(value, 'a segment');
  return {
    mapped: savedInteger(record['mapped'], -1, 0x7fff_ffff, 'a mapping'),
    room: savedInteger(record['room'], 0, MAX_WORD, 'room'),
  };
}

/** Every entry is free, or belongs to one buffer. */
function checkEntries({ size, free, buffers }: VirtqueueState): void {
  const all = [...free, ...buffers.flatMap(({ entries }) => entries)];
  checkSaved(all.length === size && new Set(all).size === size, 'its entries are not those of a queue of its size');
}

/** Each buffer was added after the one before it, and before the next one will be. */
function checkAges({ added, buffers }: VirtqueueState): void {
  let age = 0x7fff_ffff;
  for (const { addedAt } of buffers) {
    const ago = (added - addedAt) >>> 0;
    checkSaved(ago >= 1 && ago < age, 'its buffers are not in the order in which they were added');
    age = ago;
  }
}

function checkMappings({ buffers }: VirtqueueState): void {
  const mapped = buffers.flatMap(({ segments }) => segments.map((segment) => segment.mapped)).filter((id) => id >= 0);
  checkSaved(new Set(mapped).size === mapped.length, 'two segments have the same mapping');
}
