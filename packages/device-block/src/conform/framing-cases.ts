import {
  type BenchSegment,
  BOTH_LAYOUTS,
  type ConformBench,
  type ConformCase,
  type Framing,
  type LaidOutRequest,
  startedCase,
} from '@virtio-platform/core';
import { BLOCK_CONFIG } from '../block-config.ts';
import { VIRTIO_BLK_F_MQ, VIRTIO_BLK_F_SEG_MAX } from '../block-features.ts';
import {
  BLOCK_HEADER_SIZE,
  SECTOR_SIZE,
  VIRTIO_BLK_T_DISCARD,
  VIRTIO_BLK_T_IN,
  VIRTIO_BLK_T_WRITE_ZEROES,
} from '../layout.ts';
import { configValue, diskFacts } from './block-disk-facts.ts';
import { blockRequest, flush, patternOf, readOf, writeOf } from './block-requests.ts';
import { hasDiscard, hasZeroes, rangeRequest, threeBlocks } from './range-cases.ts';
import { diskCases, isWritable, open, place, writeAndRead } from './request-cases.ts';

const FRAMING = '2.7.4.1';
const OPERATION = '5.2.6';
const SEED = 13;
/** Sectors of a mebibyte, and its segments. */
const LONG_SECTORS = 2048;
const LONG_SEGMENTS = 4;

/** Bytes of the header in its first descriptor, and what the cut is in. */
const HEADER_CUTS: Readonly<Record<number, string>> = {
  1: 'inside of the type',
  4: 'behind the type',
  6: 'inside of the reserved field',
  8: 'in front of the sector',
  12: 'inside of the sector',
};

/** Bytes of header and range in the first descriptor, and what the cut is in. */
const RANGE_CUTS: Readonly<Record<string, readonly [bytes: number, where: string]>> = {
  count: [BLOCK_HEADER_SIZE + 10, 'inside of the number of sectors'],
  flags: [BLOCK_HEADER_SIZE + 14, 'inside of the flags'],
  nothing: [BLOCK_HEADER_SIZE + 16, 'behind the range, with the header in front'],
};

function framed(id: string, title: string, run: (bench: ConformBench) => Promise<void>, isWrite = true): ConformCase {
  const needs = isWrite ? [isWritable] : [];
  return { id: `block/${id}`, clause: FRAMING, level: 'MUST', title, layouts: BOTH_LAYOUTS, needs, run };
}

/** A request whose segments begin at odd addresses where `isOdd` says so. */
function atOddAddresses(
  bench: ConformBench,
  laid: LaidOutRequest,
  isOdd: (segment: BenchSegment, index: number) => boolean,
): LaidOutRequest {
  const pairs = laid.segments.map((segment, i): readonly [BenchSegment, BenchSegment] => {
    if (!isOdd(segment, i)) return [segment, segment];
    const { buffer } = segment;
    const room = bench.allocate(`${buffer.name}, at an odd address`, buffer.length + 1, 16);
    if (segment.isWritable !== true) room.write(buffer.read(), 1);
    return [segment, { ...segment, buffer: room, offset: 1, length: buffer.length }];
  });
  return {
    ...laid,
    segments: pairs.map(([, moved]) => moved),
    check: (returned) => {
      for (const [own, moved] of pairs)
        if (moved !== own && own.isWritable === true) own.buffer.write(moved.buffer.read(1, own.buffer.length));
      return laid.check(returned);
    },
  };
}

/** As many data segments as the disk takes, and a ring has room for beside header and status. */
async function startForSegments(bench: ConformBench): Promise<number> {
  const ring = await bench.start({ size: 256 });
  const most = Number(configValue(bench, BLOCK_CONFIG.seg_max));
  if (most === 0) bench.skip('seg_max is 0');
  return Math.min(most, ring.size - 2);
}

const hasSegMax: NonNullable<ConformCase['needs']>[number] = ({ acceptable }) =>
  acceptable.has(VIRTIO_BLK_F_SEG_MAX) ? undefined : 'the disk does not offer BLK_SEG_MAX';

/** Requests that are cut into descriptors in every way in which a driver may. */
export const BLOCK_FRAMING_CASES: readonly ConformCase[] = [
  ...Object.entries(HEADER_CUTS).map(([bytes, where]) =>
    framed(`header-cut-at-${bytes}`, `writes and reads where the header is cut ${where}`, async (bench) => {
      const facts = await open(bench);
      const framing: Framing = { readable: [Number(bytes)] };
      const at = place(facts, 1);
      const data = patternOf(at, SEED + Number(bytes), facts.unit);
      await bench.serve(bench.layOutRequest(writeOf(at, data), framing));
      await bench.serve(bench.layOutRequest(readOf(at, data), framing));
    }),
  ),
  framed(
    'flush-header-cut',
    'flushes where the header is cut',
    async (bench) => {
      await open(bench);
      await bench.serve(bench.layOutRequest(flush(), { readable: [5, 6] }));
    },
    false,
  ),
  framed('read-in-odd-segments', 'reads into segments that end inside of sectors', async (bench) => {
    const facts = await open(bench);
    const at = place(facts, 2);
    const data = patternOf(at, SEED, 2 * facts.unit);
    await bench.serve(bench.layOutRequest(writeOf(at, data)));
    await bench.serve(bench.layOutRequest(readOf(at, data), { writable: [1, 511, 3, 400] }));
  }),
  framed('last-byte-with-status', 'reads the last byte of data into the descriptor of the status', async (bench) => {
    const facts = await open(bench);
    const at = place(facts, 1);
    const data = patternOf(at, SEED, facts.unit);
    await bench.serve(bench.layOutRequest(writeOf(at, data)));
    await bench.serve(bench.layOutRequest(readOf(at, data), { writable: [data.length - 1] }));
  }),
  framed('header-at-odd-address', 'takes a header at an odd address', async (bench) => {
    const facts = await open(bench);
    const at = place(facts, 1);
    const data = patternOf(at, SEED, facts.unit);
    const laid = bench.layOutRequest(writeOf(at, data), { readable: [BLOCK_HEADER_SIZE] });
    await bench.serve(atOddAddresses(bench, laid, (_, i) => i === 0));
    await bench.serve(bench.layOutRequest(readOf(at, data)));
  }),
  framed('data-at-odd-address', 'writes and reads data at odd addresses', async (bench) => {
    const facts = await open(bench);
    const at = place(facts, 1);
    const data = patternOf(at, SEED, facts.unit);
    const written = bench.layOutRequest(writeOf(at, data), { readable: [BLOCK_HEADER_SIZE] });
    await bench.serve(atOddAddresses(bench, written, (_, i) => i === 1));
    const read = bench.layOutRequest(readOf(at, data), { writable: [data.length] });
    await bench.serve(atOddAddresses(bench, read, (_, i) => i === 1));
  }),
  framed(
    'status-at-odd-address',
    'writes a status to an odd address',
    async (bench) => {
      const { unit } = await open(bench);
      const room = unit * SECTOR_SIZE;
      const laid = bench.layOutRequest(blockRequest({ type: VIRTIO_BLK_T_IN, room }), { writable: [room] });
      await bench.serve(atOddAddresses(bench, laid, (_, i) => i === laid.segments.length - 1));
    },
    false,
  ),
  ...(['write', 'read'] as const).map((what): ConformCase => ({
    ...framed(`seg-max-${what}`, `${what}s as many segments as seg_max says`, async (bench) => {
      const segments = await startForSegments(bench);
      const facts = diskFacts(bench);
      const { unit } = facts;
      const at = place(facts, segments);
      if (at === 0) bench.skip('the disk is too small');
      const bytes = unit * SECTOR_SIZE;
      const data = patternOf(at, SEED, segments * unit);
      const lengths = Array.from({ length: segments }, () => bytes);
      const isWrite = what === 'write';
      const readable = isWrite ? { readable: [BLOCK_HEADER_SIZE, ...lengths] } : {};
      await bench.serve(bench.layOutRequest(writeOf(at, data), readable));
      await bench.serve(bench.layOutRequest(readOf(at, data), isWrite ? {} : { writable: lengths }));
    }),
    clause: '5.2.4',
    needs: [isWritable, hasSegMax],
  })),
  framed('mebibyte', `writes and reads a mebibyte in ${LONG_SEGMENTS} segments`, async (bench) => {
    const facts = await open(bench);
    const blocks = LONG_SECTORS / facts.unit;
    if (place(facts, blocks) === 0) bench.skip('the disk is too small');
    const bytes = (LONG_SECTORS * SECTOR_SIZE) / LONG_SEGMENTS;
    const lengths = Array.from({ length: LONG_SEGMENTS }, () => bytes);
    const framing = { readable: [BLOCK_HEADER_SIZE, ...lengths], writable: lengths };
    await writeAndRead(bench, place(facts, blocks), LONG_SECTORS, framing);
  }),
  ...Object.entries(RANGE_CUTS).map(([name, [bytes, where]]): ConformCase => ({
    ...framed(`zeroes-cut-in-${name}`, `takes a range of write zeroes that is cut ${where}`, async (bench) => {
      const { unit, at, data } = await threeBlocks(bench);
      const request = rangeRequest(VIRTIO_BLK_T_WRITE_ZEROES, [{ sector: at, sectors: unit }]);
      await bench.serve(bench.layOutRequest(request, { readable: [bytes] }));
      const after = data.slice().fill(0, 0, unit * SECTOR_SIZE);
      await bench.serve(bench.layOutRequest(readOf(at, after)));
    }),
    needs: [isWritable, hasZeroes],
  })),
  {
    ...framed('discard-in-segments', 'takes the range of a discard cut into descriptors', async (bench) => {
      const { unit, at, data } = await threeBlocks(bench);
      const request = rangeRequest(VIRTIO_BLK_T_DISCARD, [{ sector: at, sectors: unit }]);
      await bench.serve(bench.layOutRequest(request, { readable: [BLOCK_HEADER_SIZE, 5, 7] }));
      const rest = unit * SECTOR_SIZE;
      await bench.serve(bench.layOutRequest(readOf(at + unit, data.subarray(rest))));
    }),
    needs: [isWritable, hasDiscard],
  },
  ...diskCases({ clause: OPERATION, needs: [isWritable] }, [
    {
      id: 'block/overwrite',
      title: 'has what was written last where a block is written again and again',
      run: async (bench, facts) => {
        const at = place(facts, 1);
        for (let n = 0; n < 4; n++) {
          const data = patternOf(at, SEED + n, facts.unit);
          await bench.serve(bench.layOutRequest(writeOf(at, data)));
          await bench.serve(bench.layOutRequest(readOf(at, data)));
        }
      },
    },
    {
      id: 'block/read-again',
      title: 'reads the same again and again',
      run: async (bench, facts) => {
        const at = place(facts, 1);
        const data = patternOf(at, SEED, facts.unit);
        await bench.serve(bench.layOutRequest(writeOf(at, data)));
        for (let n = 0; n < 4; n++) await bench.serve(bench.layOutRequest(readOf(at, data)));
      },
    },
  ]),
  startedCase({
    id: 'block/queues-share-disk',
    clause: OPERATION,
    title: 'reads by one queue what was written by another',
    layouts: BOTH_LAYOUTS,
    needs: [
      isWritable,
      ({ acceptable, queueCount }) =>
        acceptable.has(VIRTIO_BLK_F_MQ) && queueCount > 1 ? undefined : 'the disk has one queue',
    ],
    start: { queues: [0, 1] },
    run: async (bench) => {
      const facts = diskFacts(bench);
      const at = place(facts, 1);
      const data = patternOf(at, SEED, facts.unit);
      await bench.serve(bench.layOutRequest({ ...writeOf(at, data), queue: 1 }), {}, bench.ring(1));
      await bench.serve(bench.layOutRequest(readOf(at, data)), {}, bench.ring(0));
      const again = patternOf(at, SEED + 1, facts.unit);
      await bench.serve(bench.layOutRequest(writeOf(at, again)), {}, bench.ring(0));
      await bench.serve(bench.layOutRequest({ ...readOf(at, again), queue: 1 }), {}, bench.ring(1));
    },
  }),
];
