import { demand, demandInteger, demandList, demandRecord } from './queue-state.ts';
import type { RingMemory } from './ring-memory.ts';

/** A segment that the device has. */
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
  /** How many buffers had been added before, in 32 bits. */
  readonly addedAt: number;
  readonly segments: readonly SegmentState[];
}

/**
 * A driver's end at rest, as plain data that survives JSON. The rest of it follows: what was made available is what was used, and
 * what the device has. The bytes of the ring are not part of it; they stay where they are, or move with guest memory.
 */
export interface VirtqueueState {
  readonly layout: 'split' | 'packed';
  readonly size: number;
  /** Entries of each indirect table. */
  readonly tableEntries: number;
  /** Of a packed ring: where the next used descriptor will be. A split ring's used index follows from the buffers. */
  readonly usedPosition: number;
  /** With IN_ORDER: the last buffer of a used entry that is taken back in parts, and what was written to it; -1 without. */
  readonly batchEnd: number;
  readonly batchLength: number;
  /** Buffers added so far, in 32 bits. */
  readonly added: number;
  /** Entries that no buffer has, the one to be taken next first. */
  readonly free: readonly number[];
  /** What the device has, oldest first. */
  readonly buffers: readonly BufferState[];
}

/** A saved driver's end on its way back: its state, checked, and the memory of its ring, whose contents are as they were. */
export interface RestoredVirtqueue {
  readonly state: VirtqueueState;
  readonly ring: RingMemory;
}

const MOST = 32_768;
const WORD = 0xffff_ffff;

/** Checks a saved driver's end, whatever it is. Throws {@link CodedError} `ERR_QUEUE_STATE`. */
export function checkVirtqueueState(value: unknown): VirtqueueState {
  const record = demandRecord(value, 'it');
  const { layout } = record;
  demand(layout === 'split' || layout === 'packed', 'its layout is neither split nor packed');
  const size = demandInteger(record['size'], 1, MOST, 'its size');
  demand(layout === 'packed' || (size & (size - 1)) === 0, `a split queue has no ${size} entries`);
  const tableEntries = demandInteger(record['tableEntries'], 0, size, 'tableEntries');
  const usedPosition = demandInteger(record['usedPosition'], 0, 0xffff, 'usedPosition');
  demand((usedPosition & 0x7fff) < size, `there is no slot ${usedPosition & 0x7fff}`);
  const added = demandInteger(record['added'], 0, WORD, 'added');
  const free = demandList(record['free'], size, 'free').map((entry) => demandInteger(entry, 0, size - 1, 'an entry'));
  const buffers = demandList(record['buffers'], size, 'buffers').map((buffer) =>
    checkBuffer(buffer, size, tableEntries),
  );
  const state: VirtqueueState = {
    layout,
    size,
    tableEntries,
    usedPosition,
    batchEnd: demandInteger(record['batchEnd'], -1, size - 1, 'batchEnd'),
    batchLength: demandInteger(record['batchLength'], 0, WORD, 'batchLength'),
    added,
    free,
    buffers,
  };
  checkEntries(state);
  checkAges(state);
  checkMappings(state);
  const isOutstanding = buffers.some(({ entries }) => entries[0] === state.batchEnd);
  demand(state.batchEnd < 0 || isOutstanding, 'it is in the middle of a batch whose end is not outstanding');
  return state;
}

function checkBuffer(value: unknown, size: number, tableEntries: number): BufferState {
  const record = demandRecord(value, 'a buffer');
  const { isIndirect } = record;
  demand(typeof isIndirect === 'boolean', 'isIndirect is neither true nor false');
  const entries = demandList(record['entries'], size, 'entries').map((entry) =>
    demandInteger(entry, 0, size - 1, 'an entry'),
  );
  const segments = demandList(record['segments'], isIndirect ? tableEntries : size, 'segments').map(checkSegment);
  demand(segments.length > 0, 'a buffer has no segments');
  demand(entries.length === (isIndirect ? 1 : segments.length), 'a buffer has other entries than it needs');
  const firstWritable = segments.findIndex(({ room }) => room > 0);
  const isInOrder = segments.every(({ room }, i) => room > 0 === (firstWritable >= 0 && i >= firstWritable));
  demand(isInOrder, 'a buffer has a readable segment behind a writable one');
  return { entries, isIndirect, segments, addedAt: demandInteger(record['addedAt'], 0, WORD, 'addedAt') };
}

function checkSegment(value: unknown): SegmentState {
  const record = demandRecord(value, 'a segment');
  return {
    mapped: demandInteger(record['mapped'], -1, 0x7fff_ffff, 'a mapping'),
    room: demandInteger(record['room'], 0, WORD, 'room'),
  };
}

/** Every entry is free, or has one buffer. */
function checkEntries({ size, free, buffers }: VirtqueueState): void {
  const all = [...free, ...buffers.flatMap(({ entries }) => entries)];
  demand(all.length === size && new Set(all).size === size, 'its entries are not those of a queue of its size');
}

/** Each buffer was added after the one before it, and before the next one will be. */
function checkAges({ added, buffers }: VirtqueueState): void {
  let age = 0x7fff_ffff;
  for (const { addedAt } of buffers) {
    const ago = (added - addedAt) >>> 0;
    demand(ago >= 1 && ago < age, 'its buffers are not in the order in which they were added');
    age = ago;
  }
}

function checkMappings({ buffers }: VirtqueueState): void {
  const mapped = buffers.flatMap(({ segments }) => segments.map((segment) => segment.mapped)).filter((id) => id >= 0);
  demand(new Set(mapped).size === mapped.length, 'two segments have the same mapping');
}
