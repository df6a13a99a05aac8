import {
  bareCases,
  BOTH_LAYOUTS,
  caseGroup,
  type CaseGroup,
  type CaseNeed,
  type ConformBench,
  type ConformCase,
  type LaidOutRequest,
  openedBy,
  type OpenedCase,
} from '@virtio-platform/core';
import { BLOCK_CONFIG } from '../block-config.ts';
import { VIRTIO_BLK_F_FLUSH, VIRTIO_BLK_F_RO } from '../block-features.ts';
import * as wire from '../layout.ts';
import { configValue, diskFacts, type DiskFacts } from './block-disk-facts.ts';
import { blockRequest, flush, patternOf, readOf, writeOf } from './block-requests.ts';

/** Clause of the requests themselves. */
const OPERATION = '5.2.6';
const NORMATIVE = '5.2.6.2';
const SEED = 7;
/** An unassigned number of a request. */
const UNKNOWN_TYPE = 0x7e5d;

/** The device takes writes. */
export const isWritable: CaseNeed = ({ offered }) =>
  offered.has(VIRTIO_BLK_F_RO) ? 'the disk is read-only' : undefined;
/** The device is read-only. */
export const isReadOnly: CaseNeed = ({ offered }) =>
  offered.has(VIRTIO_BLK_F_RO) ? undefined : 'the disk is not read-only';

/** Starts the device, and says what the disk is. */
export async function open(bench: ConformBench): Promise<DiskFacts> {
  await bench.start();
  return diskFacts(bench);
}

/** A case on a disk that was started. */
export const diskCase: (template: OpenedCase<DiskFacts>) => ConformCase = openedBy(open);
/** Cases on a disk that was started, with what they share. */
export const diskCases: CaseGroup<OpenedCase<DiskFacts>, ConformCase> = caseGroup(diskCase);

/** Where a case writes: behind the sectors that the well-behaved requests read, where there is room. */
export function place({ sectors, unit }: DiskFacts, blocks: number): number {
  const start = 128 * unit;
  return start + blocks * unit <= sectors ? start : 0;
}

/** Writes blocks, and reads them again. */
export async function writeAndRead(bench: ConformBench, sector: number, sectors: number, framing = {}): Promise<void> {
  const data = patternOf(sector, SEED, sectors);
  await bench.serve(bench.layOutRequest(writeOf(sector, data), framing));
  await bench.serve(bench.layOutRequest(readOf(sector, data)));
}

/** The identification in an answer: up to the first zero (section 5.2.6). */
function idIn({ segments }: LaidOutRequest): string {
  const bytes = Buffer.concat(segments.filter(({ isWritable: isData }) => isData).map(({ buffer }) => buffer.read()));
  const id = bytes.subarray(0, wire.BLOCK_ID_SIZE);
  const end = id.indexOf(0);
  return id.subarray(0, end < 0 ? wire.BLOCK_ID_SIZE : end).toString('latin1');
}

/** Serves a request that a disk has to answer with IOERR, and looks that what it names stayed as it was. */
async function isRefused(bench: ConformBench, type: number, sector: bigint, blocks: number): Promise<void> {
  const { unit } = await open(bench);
  const bytes = blocks * unit * wire.SECTOR_SIZE;
  const out = type === wire.VIRTIO_BLK_T_OUT;
  const data = out ? patternOf(0, SEED, blocks * unit) : new Uint8Array(0);
  const status = wire.VIRTIO_BLK_S_IOERR;
  await bench.serve(bench.layOutRequest(blockRequest({ type, sector, data, room: out ? 0 : bytes, status })));
}

/** Requests that a driver may make, and the answers to them. */
export const BLOCK_REQUEST_CASES: readonly ConformCase[] = [
  ...diskCases({ clause: OPERATION, needs: [isWritable] }, [
    {
      id: 'block/write-read',
      title: 'reads what was written',
      run: async (bench, facts) => {
        await writeAndRead(bench, place(facts, 1), facts.unit);
      },
    },
    {
      id: 'block/long-write',
      title: 'writes and reads 128 KiB in one segment',
      run: async (bench, facts) => {
        const sectors = 256;
        if (place(facts, sectors / facts.unit) === 0) bench.skip('the disk is too small');
        await writeAndRead(bench, place(facts, sectors / facts.unit), sectors);
      },
    },
    {
      id: 'block/write-neighbours',
      title: 'leaves the blocks around a write as they were',
      run: async (bench, facts) => {
        const { unit } = facts;
        const at = place(facts, 3);
        const before = patternOf(at, SEED + 1, 3 * unit);
        await bench.serve(bench.layOutRequest(writeOf(at, before)));
        const middle = patternOf(at + unit, SEED + 2, unit);
        await bench.serve(bench.layOutRequest(writeOf(at + unit, middle)));
        const after = before.slice();
        after.set(middle, unit * wire.SECTOR_SIZE);
        await bench.serve(bench.layOutRequest(readOf(at, after)));
      },
    },
    {
      id: 'block/last-block',
      title: 'writes and reads the last block',
      run: async (bench, { sectors, unit }) => {
        await writeAndRead(bench, sectors - (sectors % unit) - unit, unit);
      },
    },
  ]),
  diskCase({
    id: 'block/capacity',
    clause: '5.2.4',
    title: 'reads its last sector, and none behind it',
    run: async (bench, { sectors, unit }) => {
      const room = unit * wire.SECTOR_SIZE;
      await bench.serve(
        bench.layOutRequest(blockRequest({ type: wire.VIRTIO_BLK_T_IN, sector: sectors - unit, room })),
      );
      const past = blockRequest({ type: wire.VIRTIO_BLK_T_IN, sector: sectors, room, status: wire.VIRTIO_BLK_S_IOERR });
      await bench.serve(bench.layOutRequest(past));
    },
  }),
  ...diskCases({ clause: '2.7.4.1', layouts: BOTH_LAYOUTS, needs: [isWritable] }, [
    {
      id: 'block/data-in-one-descriptor',
      title: 'takes header and data of a write in one descriptor',
      run: async (bench, facts) => {
        const bytes = wire.BLOCK_HEADER_SIZE + facts.unit * wire.SECTOR_SIZE;
        await writeAndRead(bench, place(facts, 1), facts.unit, { readable: [bytes] });
      },
    },
    {
      id: 'block/header-with-first-byte',
      title: 'takes a descriptor that ends inside of the data, behind the header',
      run: async (bench, facts) => {
        await writeAndRead(bench, place(facts, 1), facts.unit, { readable: [wire.BLOCK_HEADER_SIZE + 1, 300] });
      },
    },
    {
      id: 'block/write-in-odd-segments',
      title: 'takes the data of a write in segments that end inside of sectors',
      run: async (bench, facts) => {
        await writeAndRead(bench, place(facts, 2), 2 * facts.unit, {
          readable: [wire.BLOCK_HEADER_SIZE, 100, 413, 3, 1],
        });
      },
    },
  ]),
  diskCase({
    id: 'block/get-id',
    clause: OPERATION,
    level: 'SHOULD',
    title: 'answers GET_ID with 20 bytes, or says that it has none',
    run: async (bench) => {
      const status = [wire.VIRTIO_BLK_S_OK, wire.VIRTIO_BLK_S_UNSUPP];
      const laid = bench.layOutRequest(
        blockRequest({ type: wire.VIRTIO_BLK_T_GET_ID, room: wire.BLOCK_ID_SIZE, status }),
      );
      await bench.serve(laid);
      const again = bench.layOutRequest(laid.request);
      await bench.serve(again);
      bench.equal('the second answer', idIn(again), idIn(laid));
    },
  }),
  diskCase({
    id: 'block/get-id-in-two-segments',
    clause: '2.7.4.1',
    title: 'answers GET_ID also where the room for it is two descriptors',
    run: async (bench) => {
      const status = [wire.VIRTIO_BLK_S_OK, wire.VIRTIO_BLK_S_UNSUPP];
      const request = blockRequest({ type: wire.VIRTIO_BLK_T_GET_ID, room: wire.BLOCK_ID_SIZE, status });
      const whole = bench.layOutRequest(request);
      const parts = bench.layOutRequest(request, { writable: [3, 10] });
      for (const laid of [whole, parts]) await bench.serve(laid);
      bench.equal('the answer in three descriptors', idIn(parts), idIn(whole));
    },
  }),
  diskCase({
    id: 'block/flush',
    clause: OPERATION,
    title: 'answers a flush with OK',
    needs: [({ offered }) => (offered.has(VIRTIO_BLK_F_FLUSH) ? undefined : 'the disk has no flush')],
    run: async (bench) => {
      await bench.serve(bench.layOutRequest(flush()));
    },
  }),
  ...diskCases({ clause: OPERATION, level: 'SHOULD' }, [
    {
      id: 'block/unknown-request',
      title: 'answers a request of an unknown type with UNSUPP',
      run: async (bench) => {
        const request = blockRequest({ type: UNKNOWN_TYPE, room: wire.SECTOR_SIZE, status: wire.VIRTIO_BLK_S_UNSUPP });
        await bench.serve(bench.layOutRequest(request));
      },
    },
    {
      id: 'block/unknown-request-without-data',
      title: 'answers a request of an unknown type that has room for the status only',
      run: async (bench) => {
        await bench.serve(bench.layOutRequest(blockRequest({ type: UNKNOWN_TYPE, status: wire.VIRTIO_BLK_S_UNSUPP })));
      },
    },
  ]),
  ...bareCases({ clause: OPERATION, level: 'SHOULD', isHostile: true }, [
    {
      id: 'block/read-past-end',
      title: 'answers a read that begins inside of the disk and ends behind it with IOERR',
      run: async (bench) => {
        const { sectors, unit } = await open(bench);
        await isRefused(bench, wire.VIRTIO_BLK_T_IN, BigInt(sectors - unit), 2);
      },
    },
    {
      id: 'block/write-past-end',
      title: 'answers a write that begins behind the end of the disk with IOERR',
      needs: [isWritable],
      run: async (bench) => {
        const { sectors } = await open(bench);
        await isRefused(bench, wire.VIRTIO_BLK_T_OUT, BigInt(sectors), 1);
      },
    },
    {
      id: 'block/sector-overflow',
      title: 'answers a read of a sector whose byte offset overflows 64 bits with IOERR',
      run: (bench) => isRefused(bench, wire.VIRTIO_BLK_T_IN, 1n << 55n, 1),
    },
    {
      id: 'block/sector-last',
      title: 'answers a read of sector 2^64 - 1 with IOERR',
      run: (bench) => isRefused(bench, wire.VIRTIO_BLK_T_IN, 0xffff_ffff_ffff_ffffn, 1),
    },
    {
      id: 'block/part-of-a-sector',
      title: 'answers a read of 100 bytes with IOERR, or with these bytes',
      run: async (bench) => {
        await open(bench);
        const status = [wire.VIRTIO_BLK_S_IOERR, wire.VIRTIO_BLK_S_OK];
        await bench.serve(bench.layOutRequest(blockRequest({ type: wire.VIRTIO_BLK_T_IN, room: 100, status })));
      },
    },
  ]),
  ...diskCases({ clause: OPERATION, isHostile: true }, [
    {
      id: 'block/short-header',
      title: 'survives a request whose header is 8 bytes',
      run: (bench) => {
        const whole = blockRequest({ type: wire.VIRTIO_BLK_T_IN, room: wire.SECTOR_SIZE });
        const { segments } = bench.layOutRequest({ ...whole, readable: whole.readable.subarray(0, 8) });
        bench.ring().give(segments);
      },
    },
    {
      id: 'block/no-status',
      title: 'survives a write without a byte for the status, and writes nothing to it',
      run: (bench) => {
        const { segments } = bench.layOutRequest({ ...writeOf(0, new Uint8Array(0)), writable: 0 });
        bench.ring().give(segments);
      },
    },
    {
      id: 'block/no-header',
      title: 'survives a request that is one writable byte',
      run: (bench) => {
        const buffer = bench.allocate('a status without a header', 1);
        bench.ring().give([{ buffer, isWritable: true }]);
      },
    },
  ]),
  diskCase({
    id: 'block/read-only-write',
    clause: NORMATIVE,
    title: 'answers a write to a read-only disk with IOERR, and writes nothing',
    needs: [isReadOnly],
    run: async (bench, { unit }) => {
      const read = (): ReturnType<typeof bench.layOutRequest> =>
        bench.layOutRequest(blockRequest({ type: wire.VIRTIO_BLK_T_IN, room: unit * wire.SECTOR_SIZE }));
      const before = read();
      await bench.serve(before);
      const data = patternOf(0, SEED, unit);
      await bench.serve(
        bench.layOutRequest(blockRequest({ type: wire.VIRTIO_BLK_T_OUT, data, status: wire.VIRTIO_BLK_S_IOERR })),
      );
      const after = read();
      await bench.serve(after);
      const bytes = [before, after].map(({ segments }) => segments.find((part) => part.isWritable)!.buffer.read());
      bench.check(Buffer.compare(bytes[0]!, bytes[1]!) === 0, 'the write changed the disk');
    },
  }),
  diskCase({
    id: 'block/reset-keeps-data',
    clause: OPERATION,
    title: 'has what was written also after a reset',
    needs: [isWritable],
    run: async (bench, facts) => {
      const at = place(facts, 1);
      const data = patternOf(at, SEED + 3, facts.unit);
      await bench.serve(bench.layOutRequest(writeOf(at, data)));
      await bench.start();
      await bench.serve(bench.layOutRequest(readOf(at, data)));
    },
  }),
  diskCase({
    id: 'block/capacity-stays',
    clause: '5.2.4',
    title: 'has the same capacity after a driver tried to write it',
    isHostile: true,
    run: (bench) => {
      const before = configValue(bench, BLOCK_CONFIG.capacity);
      bench.transport.writeConfig(BLOCK_CONFIG.capacity.offset, new Uint8Array(8).fill(0x55));
      bench.equal('capacity', configValue(bench, BLOCK_CONFIG.capacity), before);
    },
  }),
];
