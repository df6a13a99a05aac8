import {
  bareCases,
  type CaseNeed,
  type ConformBench,
  type ConformCase,
  type GoodRequest,
  openedBy,
} from '@virtio-platform/core';
import { BLOCK_CONFIG } from '../block-config.ts';
import { VIRTIO_BLK_F_DISCARD, VIRTIO_BLK_F_SECURE_ERASE, VIRTIO_BLK_F_WRITE_ZEROES } from '../block-features.ts';
import * as wire from '../layout.ts';
import { configValue, diskFacts, type DiskFacts } from './block-disk-facts.ts';
import { blockRequest, patternOf, readOf, writeOf } from './block-requests.ts';
import { isWritable } from './request-cases.ts';

const OPERATION = '5.2.6';
const NORMATIVE = '5.2.6.2';
const SEED = 11;
const UNKNOWN_FLAG = 1 << 7;

/** One range of a request. */
export interface Range {
  readonly sector: bigint | number;
  readonly sectors: number;
  readonly flags?: number;
}

/** A request with ranges. */
export function rangeRequest(
  type: number,
  ranges: readonly Range[],
  status: number | readonly number[] = 0,
): GoodRequest {
  const data = new Uint8Array(ranges.length * wire.BLOCK_RANGE_SIZE);
  const view = new DataView(data.buffer);
  for (const [i, { sector, sectors, flags = 0 }] of ranges.entries()) {
    view.setBigUint64(i * wire.BLOCK_RANGE_SIZE, BigInt(sector), true);
    view.setUint32(i * wire.BLOCK_RANGE_SIZE + 8, sectors, true);
    view.setUint32(i * wire.BLOCK_RANGE_SIZE + 12, flags, true);
  }
  return blockRequest({ type, data, status });
}

function hasRanges(bit: number, name: string): CaseNeed {
  return ({ acceptable }) => (acceptable.has(bit) ? undefined : `the disk does not offer ${name}`);
}

/** The disk discards. */
export const hasDiscard: CaseNeed = hasRanges(VIRTIO_BLK_F_DISCARD, 'BLK_DISCARD');
/** The disk writes zeroes. */
export const hasZeroes: CaseNeed = hasRanges(VIRTIO_BLK_F_WRITE_ZEROES, 'BLK_WRITE_ZEROES');
const hasErase = hasRanges(VIRTIO_BLK_F_SECURE_ERASE, 'BLK_SECURE_ERASE');

/** Three blocks of a pattern, of which a case changes that in the middle. */
export async function threeBlocks(
  bench: ConformBench,
): Promise<DiskFacts & { readonly at: number; readonly data: Uint8Array }> {
  await bench.start();
  const facts = diskFacts(bench);
  const { sectors, unit } = facts;
  const at = 192 * unit + 3 * unit <= sectors ? 192 * unit : 0;
  const data = patternOf(at, SEED, 3 * unit);
  await bench.serve(bench.layOutRequest(writeOf(at, data)));
  return { ...facts, at, data };
}

/** A case on three blocks that were written. */
const blocksCase = openedBy(threeBlocks);

/** Zeroes the block in the middle, and looks at all three. */
async function zeroesMiddle(bench: ConformBench, flags: number): Promise<void> {
  const { unit, at, data } = await threeBlocks(bench);
  const range = { sector: at + unit, sectors: unit, flags };
  await bench.serve(bench.layOutRequest(rangeRequest(wire.VIRTIO_BLK_T_WRITE_ZEROES, [range])));
  const after = data.slice();
  after.fill(0, unit * wire.SECTOR_SIZE, 2 * unit * wire.SECTOR_SIZE);
  await bench.serve(bench.layOutRequest(readOf(at, after)));
}

/** A request that has to be answered with UNSUPP, and changes nothing. */
function unsupported(id: string, what: string, has: CaseNeed, type: number, flags = UNKNOWN_FLAG): ConformCase {
  return blocksCase({
    id: `block/${id}`,
    clause: NORMATIVE,
    title: `answers ${what} with UNSUPP, and changes nothing`,
    needs: [isWritable, has],
    run: async (bench, { unit, at, data }) => {
      const range = { sector: at + unit, sectors: unit, flags };
      await bench.serve(bench.layOutRequest(rangeRequest(type, [range], wire.VIRTIO_BLK_S_UNSUPP)));
      await bench.serve(bench.layOutRequest(readOf(at, data)));
    },
  });
}

/** A range outside of the disk. */
function refused(
  id: string,
  what: string,
  has: CaseNeed,
  type: number,
  sector: (facts: DiskFacts) => bigint,
): ConformCase {
  return blocksCase({
    id: `block/${id}`,
    clause: OPERATION,
    level: 'SHOULD',
    title: `answers ${what} with IOERR`,
    needs: [isWritable, has],
    isHostile: true,
    run: async (bench, facts) => {
      const ranges = [{ sector: sector(facts), sectors: facts.unit }];
      await bench.serve(bench.layOutRequest(rangeRequest(type, ranges, wire.VIRTIO_BLK_S_IOERR)));
      await bench.serve(bench.layOutRequest(readOf(facts.at, facts.data)));
    },
  });
}

/** Discards, writes of zeroes and secure erases. */
export const BLOCK_RANGE_CASES: readonly ConformCase[] = [
  ...bareCases({ clause: NORMATIVE }, [
    {
      id: 'block/zeroes',
      title: 'reads zeroes where it wrote zeroes, and the blocks around as they were',
      needs: [isWritable, hasZeroes],
      run: (bench) => zeroesMiddle(bench, 0),
    },
    {
      id: 'block/zeroes-unmap',
      title: 'reads zeroes also where the driver let it deallocate',
      needs: [isWritable, hasZeroes],
      run: (bench) => zeroesMiddle(bench, wire.VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP),
    },
  ]),
  unsupported('zeroes-unknown-flag', 'write zeroes with an unknown flag', hasZeroes, wire.VIRTIO_BLK_T_WRITE_ZEROES),
  unsupported(
    'discard-unmap',
    'a discard with the unmap flag',
    hasDiscard,
    wire.VIRTIO_BLK_T_DISCARD,
    wire.VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP,
  ),
  unsupported('discard-unknown-flag', 'a discard with an unknown flag', hasDiscard, wire.VIRTIO_BLK_T_DISCARD),
  unsupported('erase-unknown-flag', 'a secure erase with an unknown flag', hasErase, wire.VIRTIO_BLK_T_SECURE_ERASE),
  blocksCase({
    id: 'block/discard',
    clause: OPERATION,
    title: 'discards a block, and leaves those around it as they were',
    needs: [isWritable, hasDiscard],
    run: async (bench, { unit, at, data }) => {
      const range = { sector: at + unit, sectors: unit };
      await bench.serve(bench.layOutRequest(rangeRequest(wire.VIRTIO_BLK_T_DISCARD, [range])));
      const bytes = unit * wire.SECTOR_SIZE;
      await bench.serve(bench.layOutRequest(readOf(at, data.subarray(0, bytes))));
      await bench.serve(bench.layOutRequest(readOf(at + 2 * unit, data.subarray(2 * bytes))));
    },
  }),
  blocksCase({
    id: 'block/zeroes-in-segments',
    clause: '2.7.4.1',
    title: 'takes the range of write zeroes cut into descriptors',
    needs: [isWritable, hasZeroes],
    run: async (bench, { unit, at, data }) => {
      const request = rangeRequest(wire.VIRTIO_BLK_T_WRITE_ZEROES, [{ sector: at, sectors: unit }]);
      await bench.serve(bench.layOutRequest(request, { readable: [20, 9] }));
      const after = data.slice().fill(0, 0, unit * wire.SECTOR_SIZE);
      await bench.serve(bench.layOutRequest(readOf(at, after)));
    },
  }),
  refused(
    'zeroes-past-end',
    'write zeroes behind the end of the disk',
    hasZeroes,
    wire.VIRTIO_BLK_T_WRITE_ZEROES,
    ({ sectors }) => BigInt(sectors),
  ),
  refused(
    'discard-past-end',
    'a discard behind the end of the disk',
    hasDiscard,
    wire.VIRTIO_BLK_T_DISCARD,
    ({ sectors }) => BigInt(sectors),
  ),
  refused(
    'zeroes-sector-overflow',
    'write zeroes of a sector whose byte offset overflows 64 bits',
    hasZeroes,
    wire.VIRTIO_BLK_T_WRITE_ZEROES,
    () => 1n << 55n,
  ),
  ...bareCases({ clause: OPERATION, level: 'SHOULD', isHostile: true }, [
    {
      id: 'block/zeroes-too-long',
      title: 'does not write more zeroes at once than max_write_zeroes_sectors',
      needs: [isWritable, hasZeroes],
      run: async (bench) => {
        const { at, data, sectors } = await threeBlocks(bench);
        const most = Number(configValue(bench, BLOCK_CONFIG.max_write_zeroes_sectors));
        if (most === 0 || most >= 0xffff_ffff - sectors) bench.skip('the disk has no limit that a range passes');
        const status = [wire.VIRTIO_BLK_S_IOERR, wire.VIRTIO_BLK_S_UNSUPP];
        const range = { sector: at, sectors: most + 8 };
        await bench.serve(bench.layOutRequest(rangeRequest(wire.VIRTIO_BLK_T_WRITE_ZEROES, [range], status)));
        await bench.serve(bench.layOutRequest(readOf(at, data)));
      },
    },
    {
      id: 'block/half-a-range',
      title: 'does not answer OK to half a range of write zeroes',
      needs: [isWritable, hasZeroes],
      run: async (bench) => {
        const { at, unit, data } = await threeBlocks(bench);
        const right = [wire.VIRTIO_BLK_S_IOERR, wire.VIRTIO_BLK_S_UNSUPP];
        const whole = rangeRequest(wire.VIRTIO_BLK_T_WRITE_ZEROES, [{ sector: at, sectors: unit }], right);
        const half = { ...whole, readable: whole.readable.subarray(0, whole.readable.length - 8) };
        await bench.serve(bench.layOutRequest(half));
        await bench.serve(bench.layOutRequest(readOf(at, data)));
      },
    },
  ]),
];
