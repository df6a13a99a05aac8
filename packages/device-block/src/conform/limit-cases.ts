import type { CaseNeed, ConformBench, ConformCase, GoodRequest } from '@virtio-platform/core';
import { BLOCK_CONFIG } from '../block-config.ts';
import * as wire from '../layout.ts';
import { configValue } from './block-disk-facts.ts';
import { blockRequest, flush, patternOf, readOf, writeOf } from './block-requests.ts';
import { hasDiscard, hasZeroes, rangeRequest, threeBlocks, type Range } from './range-cases.ts';
import { diskCase, isReadOnly, isWritable, open, place } from './request-cases.ts';

const OPERATION = '5.2.6';
const NORMATIVE = '5.2.6.2';
const SEED = 17;
const REFUSED: readonly number[] = [wire.VIRTIO_BLK_S_IOERR, wire.VIRTIO_BLK_S_UNSUPP];
const ANY: readonly number[] = [wire.VIRTIO_BLK_S_OK, wire.VIRTIO_BLK_S_IOERR, wire.VIRTIO_BLK_S_UNSUPP];
/** Sectors whose bytes are 4 GiB, and a sector more. */
const WRAPS_32_BITS = 0x80_0001;
/** More ranges than any request has. */
const TOO_MANY_RANGES = 300;

function hostile(
  id: string,
  title: string,
  run: (bench: ConformBench) => Promise<void>,
  needs: readonly CaseNeed[] = [],
): ConformCase {
  return { id: `block/${id}`, clause: OPERATION, level: 'SHOULD', title, isHostile: true, needs, run };
}

/** Serves a request of a driver that breaks the rules: nothing but the request itself may be different after it. */
async function serve(bench: ConformBench, request: GoodRequest): Promise<void> {
  await bench.serve(bench.layOutRequest(request));
}

/** Writes a block that has to be refused, at a sector; the block before the end of the disk stays as it is. */
async function refusesWrite(
  bench: ConformBench,
  sector: (sectors: number, unit: number) => bigint,
  blocks: number,
): Promise<void> {
  const { sectors, unit } = await open(bench);
  const last = sectors - (sectors % unit) - unit;
  const before = patternOf(last, SEED, unit);
  await serve(bench, writeOf(last, before));
  const data = patternOf(0, SEED + 1, blocks * unit);
  const status = wire.VIRTIO_BLK_S_IOERR;
  await serve(bench, blockRequest({ type: wire.VIRTIO_BLK_T_OUT, sector: sector(sectors, unit), data, status }));
  await serve(bench, readOf(last, before));
}

/** Serves a request with ranges after which three blocks are as they were. */
async function changesNothing(
  bench: ConformBench,
  type: number,
  ranges: (at: number, unit: number, sectors: number) => readonly Range[],
  right: readonly number[],
): Promise<void> {
  const { at, unit, data, sectors } = await threeBlocks(bench);
  await serve(bench, rangeRequest(type, ranges(at, unit, sectors), right));
  await serve(bench, readOf(at, data));
}

/** Requests of a driver beyond the limits of a disk, and such that mean nothing. */
export const BLOCK_LIMIT_CASES: readonly ConformCase[] = [
  hostile(
    'write-across-end',
    'writes nothing of a request that begins inside of the disk and ends behind it',
    (bench) => refusesWrite(bench, (sectors, unit) => BigInt(sectors - (sectors % unit) - unit), 2),
    [isWritable],
  ),
  hostile(
    'write-sector-overflow',
    'answers a write to a sector whose byte offset overflows 64 bits with IOERR',
    (bench) => refusesWrite(bench, (sectors, unit) => (1n << 55n) + BigInt(sectors - (sectors % unit) - unit), 1),
    [isWritable],
  ),
  hostile(
    'write-sector-last',
    'answers a write to sector 2^64 - 1 with IOERR',
    (bench) => refusesWrite(bench, () => 0xffff_ffff_ffff_ffffn, 1),
    [isWritable],
  ),
  hostile('sector-sign-bit', 'answers a read of sector 2^63 with IOERR', async (bench) => {
    const { unit } = await open(bench);
    const [sector, status] = [1n << 63n, wire.VIRTIO_BLK_S_IOERR];
    await serve(bench, blockRequest({ type: wire.VIRTIO_BLK_T_IN, sector, room: unit * wire.SECTOR_SIZE, status }));
  }),
  hostile('sector-bytes-wrap-32-bits', 'reads no other sector where the byte offset wraps 32 bits', async (bench) => {
    const { sectors, unit } = await open(bench);
    const sector = 0x80_0000;
    if (sectors > sector) bench.skip('the disk has more than 4 GiB');
    await serve(
      bench,
      blockRequest({
        type: wire.VIRTIO_BLK_T_IN,
        sector,
        room: unit * wire.SECTOR_SIZE,
        status: wire.VIRTIO_BLK_S_IOERR,
      }),
    );
  }),
  hostile('read-of-nothing', 'answers a read that has room for the status only', async (bench) => {
    await open(bench);
    await serve(bench, blockRequest({ type: wire.VIRTIO_BLK_T_IN, status: ANY }));
  }),
  hostile(
    'write-of-nothing',
    'answers a write without data',
    async (bench) => {
      await open(bench);
      await serve(bench, blockRequest({ type: wire.VIRTIO_BLK_T_OUT, status: ANY }));
    },
    [isWritable],
  ),
  hostile(
    'write-part-of-a-sector',
    'answers a write of 100 bytes with IOERR, or writes no more than them',
    async (bench) => {
      const facts = await open(bench);
      const at = place(facts, 2);
      const before = patternOf(at, SEED, 2 * facts.unit);
      await serve(bench, writeOf(at, before));
      const data = before.subarray(0, 100);
      await serve(bench, blockRequest({ type: wire.VIRTIO_BLK_T_OUT, sector: at, data, status: ANY }));
      await serve(bench, readOf(at, before));
    },
    [isWritable],
  ),
  hostile('get-id-short', 'answers GET_ID with room for 10 bytes, and writes no more', async (bench) => {
    await open(bench);
    await serve(bench, blockRequest({ type: wire.VIRTIO_BLK_T_GET_ID, room: 10, status: ANY }));
  }),
  hostile('get-id-long', 'has the status of GET_ID in the last byte, also with room for 64 bytes', async (bench) => {
    await open(bench);
    const room = wire.BLOCK_ID_SIZE + 44;
    await serve(bench, blockRequest({ type: wire.VIRTIO_BLK_T_GET_ID, room, status: ANY }));
  }),
  hostile('read-with-data', 'answers a read that has data of its own', async (bench) => {
    const { unit } = await open(bench);
    const data = new Uint8Array(unit * wire.SECTOR_SIZE).fill(0x5a);
    await serve(bench, blockRequest({ type: wire.VIRTIO_BLK_T_IN, data, room: data.length, status: ANY }));
  }),
  hostile(
    'write-with-room',
    'has the status of a write in the last byte, also with room for data',
    async (bench) => {
      const facts = await open(bench);
      const at = place(facts, 1);
      const data = patternOf(at, SEED, facts.unit);
      await serve(
        bench,
        blockRequest({ type: wire.VIRTIO_BLK_T_OUT, sector: at, data, room: data.length, status: ANY }),
      );
    },
    [isWritable],
  ),
  ...(
    [
      ['8', 0x100],
      ['16', 0x1_0000],
    ] as const
  ).map(([bits, type]) =>
    hostile(`type-cut-to-${bits}-bits`, `answers a type of more than ${bits} bits with UNSUPP`, async (bench) => {
      const { unit } = await open(bench);
      await serve(bench, blockRequest({ type, room: unit * wire.SECTOR_SIZE, status: wire.VIRTIO_BLK_S_UNSUPP }));
    }),
  ),
  hostile('flush-with-sector', 'answers a flush of a sector', async (bench) => {
    await open(bench);
    await serve(bench, blockRequest({ type: wire.VIRTIO_BLK_T_FLUSH, sector: 0xffff_ffffn, status: ANY }));
  }),
  hostile('flush-with-data', 'answers a flush with data', async (bench) => {
    await open(bench);
    const data = new Uint8Array(wire.SECTOR_SIZE).fill(0x5a);
    await serve(bench, blockRequest({ type: wire.VIRTIO_BLK_T_FLUSH, data, status: ANY }));
  }),
  hostile(
    'zeroes-of-nothing',
    'changes nothing where zeroes are to be written to no sectors',
    (bench) => changesNothing(bench, wire.VIRTIO_BLK_T_WRITE_ZEROES, (at) => [{ sector: at, sectors: 0 }], ANY),
    [isWritable, hasZeroes],
  ),
  hostile(
    'discard-of-nothing',
    'changes nothing where no sectors are to be discarded',
    (bench) => changesNothing(bench, wire.VIRTIO_BLK_T_DISCARD, (at) => [{ sector: at, sectors: 0 }], ANY),
    [isWritable, hasDiscard],
  ),
  hostile(
    'zeroes-across-end',
    'writes no zeroes to a range that begins inside of the disk and ends behind it',
    async (bench) => {
      const { sectors, unit } = await open(bench);
      const last = sectors - (sectors % unit) - unit;
      const before = patternOf(last, SEED, unit);
      await serve(bench, writeOf(last, before));
      await serve(bench, rangeRequest(wire.VIRTIO_BLK_T_WRITE_ZEROES, [{ sector: last, sectors: 2 * unit }], REFUSED));
      await serve(bench, readOf(last, before));
    },
    [isWritable, hasZeroes],
  ),
  hostile(
    'zeroes-bytes-wrap-32-bits',
    'writes no zeroes to so many sectors that their bytes wrap 32 bits',
    async (bench) => {
      const { sectors } = await open(bench);
      if (sectors > WRAPS_32_BITS) bench.skip('the disk has more than 4 GiB');
      const ranges = (at: number): readonly Range[] => [{ sector: at, sectors: WRAPS_32_BITS }];
      await changesNothing(bench, wire.VIRTIO_BLK_T_WRITE_ZEROES, ranges, REFUSED);
    },
    [isWritable, hasZeroes],
  ),
  hostile(
    'no-range',
    'answers write zeroes without a range',
    async (bench) => {
      await open(bench);
      await serve(bench, rangeRequest(wire.VIRTIO_BLK_T_WRITE_ZEROES, [], ANY));
    },
    [isWritable, hasZeroes],
  ),
  hostile(
    'too-many-ranges',
    `answers write zeroes with ${TOO_MANY_RANGES} ranges`,
    async (bench) => {
      const { at, unit } = await threeBlocks(bench);
      const ranges = Array.from({ length: TOO_MANY_RANGES }, () => ({ sector: at, sectors: unit }));
      await serve(bench, rangeRequest(wire.VIRTIO_BLK_T_WRITE_ZEROES, ranges, ANY));
    },
    [isWritable, hasZeroes],
  ),
  hostile(
    'discard-too-long',
    'does not discard more at once than max_discard_sectors',
    async (bench) => {
      const { at, data, sectors } = await threeBlocks(bench);
      const most = Number(configValue(bench, BLOCK_CONFIG.max_discard_sectors));
      if (most === 0 || most >= 0xffff_ffff - sectors) bench.skip('the disk has no limit that a range passes');
      await serve(bench, rangeRequest(wire.VIRTIO_BLK_T_DISCARD, [{ sector: at, sectors: most + 8 }], REFUSED));
      await serve(bench, readOf(at, data));
    },
    [isWritable, hasDiscard],
  ),
  {
    ...hostile(
      'read-only-zeroes',
      'writes no zeroes to a read-only disk',
      async (bench) => {
        const { unit } = await open(bench);
        await serve(bench, rangeRequest(wire.VIRTIO_BLK_T_WRITE_ZEROES, [{ sector: 0, sectors: unit }], REFUSED));
      },
      [isReadOnly],
    ),
    clause: NORMATIVE,
    level: 'MUST',
  },
  {
    ...hostile(
      'read-only-discard',
      'discards nothing of a read-only disk',
      async (bench) => {
        const { unit } = await open(bench);
        await serve(bench, rangeRequest(wire.VIRTIO_BLK_T_DISCARD, [{ sector: 0, sectors: unit }], REFUSED));
      },
      [isReadOnly],
    ),
    clause: NORMATIVE,
    level: 'MUST',
  },
  diskCase({
    id: 'block/read-only-read',
    clause: OPERATION,
    title: 'reads, flushes and says its identification although it is read-only',
    needs: [isReadOnly],
    run: async (bench, { unit }) => {
      await serve(bench, blockRequest({ type: wire.VIRTIO_BLK_T_IN, room: unit * wire.SECTOR_SIZE }));
      await serve(bench, { ...flush(), check: () => undefined });
      const status = [wire.VIRTIO_BLK_S_OK, wire.VIRTIO_BLK_S_UNSUPP];
      await serve(bench, blockRequest({ type: wire.VIRTIO_BLK_T_GET_ID, room: wire.BLOCK_ID_SIZE, status }));
    },
  }),
];
