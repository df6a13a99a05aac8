import { writeChain } from '@virtio-platform/device-kit';
import { blockBug, DISCARD, FLUSH, GET_ID, IN, OUT, rangeOf, ZEROES, type Seen } from './block-bugs.ts';
import type { Bug } from './broken-device.ts';
import type { FoundBug } from './simple-bugs.ts';

const CAPACITY = 32_768;

/** Bugs by the cases that have to find each. */
const FOUND: (readonly [bug: Bug, cases: readonly string[]])[] = [];

function found(cases: readonly string[], name: string, process: (seen: Seen) => number): void {
  FOUND.push([blockBug(name, process), cases.map((id) => `block/${id}`)]);
}

/** A bug that answers IOERR where `isWrong`. */
function fails(cases: readonly string[], name: string, isWrong: (seen: Seen) => boolean): void {
  found(cases, name, (seen) => (isWrong(seen) ? seen.answer(1) : seen.handle()));
}

/** A bug that answers OK and does nothing where `isWrong`. */
function ignores(cases: readonly string[], name: string, isWrong: (seen: Seen) => boolean): void {
  found(cases, name, (seen) => (isWrong(seen) ? seen.answer(0) : seen.handle()));
}

/** A bug that never answers again where `isWrong`. */
function hangs(cases: readonly string[], name: string, isWrong: (seen: Seen) => boolean): void {
  found(cases, name, (seen) => {
    if (isWrong(seen)) seen.device.wedge();
    return seen.handle();
  });
}

/** A bug that handles another request in the place of some. */
function takes(
  cases: readonly string[],
  name: string,
  isWrong: (seen: Seen) => boolean,
  other: (seen: Seen) => readonly [type: number, sector: number],
): void {
  found(cases, name, (seen) => {
    if (!isWrong(seen)) return seen.handle();
    const { type, sector } = seen;
    seen.rewrite(...other(seen));
    const written = seen.handle();
    seen.rewrite(type, sector);
    return written;
  });
}

const first = ({ chain }: Seen): number => chain.length[0]!;
const isData = ({ type }: Seen): boolean => type === IN || type === OUT;
const dataBytes = ({ chain }: Seen): number => chain.readableBytes - 16;
const writables = ({ chain }: Seen): number => chain.count - chain.readable;
const lastOf = ({ chain }: Seen): number => chain.length[chain.count - 1]!;
const isRanged = ({ type }: Seen): boolean => type === DISCARD || type === ZEROES;

fails(['header-cut-at-1'], 'reads the type from the first descriptor', (seen) => isData(seen) && first(seen) < 4);
fails(['header-cut-at-4'], 'wants the type with what is behind it', (seen) => isData(seen) && first(seen) === 4);
fails(['header-cut-at-6'], 'reads 8 bytes from the first descriptor that has more than 4', (seen) => {
  return isData(seen) && first(seen) > 4 && first(seen) < 8;
});
fails(['header-cut-at-8'], 'wants the sector with what is in front of it', (seen) => isData(seen) && first(seen) === 8);
fails(['header-cut-at-12'], 'reads the sector from one descriptor', (seen) => {
  return isData(seen) && first(seen) > 8 && first(seen) < 16;
});
fails(['flush-header-cut'], 'wants the header of a flush whole', ({ type, chain }) => {
  return type === FLUSH && chain.length[0]! < 16;
});
fails(['read-in-odd-segments'], 'wants whole sectors in each writable descriptor', (seen) => {
  return seen.type === IN && writables(seen) > 2 && seen.chain.length[seen.chain.readable]! % 512 !== 0;
});
ignores(['last-byte-with-status'], 'has no data in the descriptor of the status', (seen) => {
  return seen.type === IN && writables(seen) > 1 && lastOf(seen) === 2;
});
fails(
  ['header-at-odd-address'],
  'wants an aligned header',
  ({ chain, type }) => type === OUT && chain.low[0]! % 2 === 1,
);
fails(['data-at-odd-address'], 'wants aligned data', ({ chain }) => chain.count > 1 && chain.low[1]! % 2 === 1);
found(['status-at-odd-address'], 'aligns the address of the status', (seen) => {
  const { chain, space } = seen;
  const at = space.borrow(chain.low[chain.count - 1]!, chain.high[chain.count - 1]!, 1, 'write');
  if (lastOf(seen) !== 1 || at % 2 === 0) return seen.handle();
  const written = seen.handle();
  space.memory.u8[at] = 0xaa;
  return written;
});
fails(['seg-max-write'], 'writes at most 100 segments', ({ chain, type }) => type === OUT && chain.readable > 101);
fails(['seg-max-read'], 'reads at most 100 segments', (seen) => seen.type === IN && writables(seen) > 101);
fails(['mebibyte'], 'writes at most 512 KiB', ({ chain, type }) => type === OUT && chain.readableBytes > 0x8_0010);
fails(['zeroes-cut-in-count'], 'reads the number of sectors from one descriptor', (seen) => first(seen) === 26);
fails(['zeroes-cut-in-flags'], 'reads the flags from one descriptor', (seen) => first(seen) === 30);
fails(['zeroes-cut-in-nothing'], 'wants a range apart from the header', (seen) => first(seen) === 32 && isRanged(seen));
fails(['discard-in-segments'], 'takes the range of a discard from one descriptor', ({ chain, type }) => {
  return type === DISCARD && chain.readable > 2;
});
found(['overwrite'], 'keeps what was written first', (seen) => {
  if (seen.type !== OUT || seen.sector !== 128) return seen.handle();
  return seen.device.count++ === 0 ? seen.handle() : seen.answer(0);
});
ignores(['read-again'], 'reads a block three times', (seen) => {
  return seen.type === IN && seen.sector === 128 && seen.device.count++ > 2;
});
takes(
  ['queues-share-disk'],
  'has a disk for each queue',
  (seen) => isData(seen) && seen.queue === 1,
  ({ type, sector }) => [type, sector + 4096],
);

takes(
  ['write-across-end'],
  'writes what is inside of the disk',
  ({ type, sector, chain }) => type === OUT && sector === CAPACITY - 1 && chain.readableBytes > 528,
  () => [OUT, CAPACITY - 2],
);
takes(
  ['write-sector-overflow'],
  'cuts the byte offset of a write to 64 bits',
  ({ type, sector }) => type === OUT && sector >= 2 ** 55 && sector < 2 ** 56,
  () => [OUT, CAPACITY - 1],
);
takes(
  ['write-sector-last'],
  'counts sectors from the end where they are negative',
  ({ type, sector }) => type === OUT && sector >= 2 ** 63,
  () => [OUT, CAPACITY - 1],
);
ignores(
  ['sector-sign-bit'],
  'compares sectors with their sign',
  ({ type, sector }) => type === IN && sector === 2 ** 63,
);
takes(
  ['sector-bytes-wrap-32-bits'],
  'has byte offsets of 32 bits',
  ({ type, sector }) => type === IN && sector === 0x80_0000,
  () => [IN, 0],
);
hangs(['read-of-nothing'], 'hangs at a read of nothing', ({ type, room }) => type === IN && room === 0);
hangs(['write-of-nothing'], 'hangs at a write of nothing', (seen) => seen.type === OUT && dataBytes(seen) === 0);
hangs(['write-part-of-a-sector'], 'hangs at a write of part of a sector', (seen) => {
  return seen.type === OUT && dataBytes(seen) === 100;
});
found(['get-id-short'], 'writes 20 bytes of identification, whatever the room is', (seen) => {
  const { type, room, chain, space } = seen;
  if (type !== GET_ID || room !== 10) return seen.handle();
  const at = space.borrow(chain.low[chain.readable]!, chain.high[chain.readable]!, 10, 'write');
  space.memory.u8.fill(66, at, at + 20);
  return seen.answer(0);
});
found(['get-id-long'], 'writes the status right behind its identification', (seen) => {
  const { type, room, chain, space } = seen;
  if (type !== GET_ID || room <= 20) return seen.handle();
  writeChain(chain, space, 20, Uint8Array.of(0), 0, 1);
  return 21;
});
hangs(['read-with-data'], 'hangs at a read with data', (seen) => seen.type === IN && dataBytes(seen) > 0);
found(['write-with-room'], 'writes the status of a write to the first byte', (seen) => {
  if (seen.type !== OUT || seen.room === 0) return seen.handle();
  writeChain(seen.chain, seen.space, 0, Uint8Array.of(0), 0, 1);
  return 1;
});
takes(
  ['type-cut-to-8-bits'],
  'cuts a type to 8 bits',
  ({ type }) => type === 0x100,
  ({ sector }) => [IN, sector],
);
takes(
  ['type-cut-to-16-bits'],
  'cuts a type to 16 bits',
  ({ type }) => type === 0x1_0000,
  ({ sector }) => [IN, sector],
);
hangs(['flush-with-sector'], 'hangs at a flush of a sector', ({ type, sector }) => type === FLUSH && sector !== 0);
hangs(['flush-with-data'], 'hangs at a flush with data', (seen) => seen.type === FLUSH && dataBytes(seen) > 0);
found(['zeroes-of-nothing'], 'has no status for zeroes of nothing', (seen) => {
  return seen.type === ZEROES && dataBytes(seen) === 16 && rangeOf(seen)[1] === 0 ? 0 : seen.handle();
});
hangs(['discard-of-nothing'], 'hangs at a discard of nothing', (seen) => {
  return seen.type === DISCARD && dataBytes(seen) === 16 && rangeOf(seen)[1] === 0;
});
ignores(['zeroes-across-end'], 'answers OK to zeroes across the end', (seen) => {
  return seen.type === ZEROES && dataBytes(seen) === 16 && rangeOf(seen)[0] === CAPACITY - 1 && rangeOf(seen)[1] === 2;
});
ignores(['zeroes-bytes-wrap-32-bits'], 'counts the bytes of zeroes in 32 bits', (seen) => {
  return seen.type === ZEROES && dataBytes(seen) === 16 && rangeOf(seen)[1] === 0x80_0001;
});
hangs(['no-range'], 'hangs without a range', (seen) => seen.type === ZEROES && dataBytes(seen) === 0);
hangs(['too-many-ranges'], 'hangs at many ranges', (seen) => seen.type === ZEROES && dataBytes(seen) > 4096);
ignores(['discard-too-long'], 'discards as much as it is told', (seen) => {
  return seen.type === DISCARD && dataBytes(seen) === 16 && rangeOf(seen)[1] > CAPACITY;
});

/** Bugs of a disk that show in the framing of its requests, and at its limits. */
export const BLOCK_FRAMING_BUGS: readonly Bug[] = FOUND.map(([bug]) => bug);
/** The cases that have to find each of {@link BLOCK_FRAMING_BUGS}, by its name. */
export const BLOCK_FRAMING_FOUND_BY: Readonly<Record<string, readonly string[]>> = Object.fromEntries(
  FOUND.map(([{ name }, cases]) => [name, cases]),
);

/** Bugs of a read-only disk, each with the cases that have to find it. */
export const READ_ONLY_BUGS: readonly FoundBug[] = [
  [
    blockBug('says that it wrote', (seen) => (seen.type === OUT ? seen.answer(0) : seen.handle())),
    ['block/read-only-write'],
  ],
  [
    blockBug('says that it wrote zeroes', (seen) => (seen.type === ZEROES ? seen.answer(0) : seen.handle())),
    ['block/read-only-zeroes'],
  ],
  [
    blockBug('says that it discarded', (seen) => (seen.type === DISCARD ? seen.answer(0) : seen.handle())),
    ['block/read-only-discard'],
  ],
  [
    blockBug('has no identification', (seen) => (seen.type === GET_ID ? seen.answer(1) : seen.handle())),
    ['block/read-only-read'],
  ],
];
