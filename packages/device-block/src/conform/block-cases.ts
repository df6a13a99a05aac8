import type { Clause, ConformBench, DeviceCases, GoodRequest, RequestMaker } from '@virtio-platform/core';
import { BLOCK_CONFIG } from '../block-config.ts';
import { VIRTIO_BLK_F_MQ } from '../block-features.ts';
import { SECTOR_SIZE, VIRTIO_BLK_T_IN } from '../layout.ts';
import { BLOCK_CONFIG_CASES } from './config-cases.ts';
import { configValue, diskFacts } from './block-disk-facts.ts';
import { openBlockModel } from './block-model.ts';
import { blockRequest, patternOf, readOf, writeOf } from './block-requests.ts';
import { BLOCK_FRAMING_CASES } from './framing-cases.ts';
import { BLOCK_LIMIT_CASES } from './limit-cases.ts';
import { BLOCK_RANGE_CASES } from './range-cases.ts';
import { BLOCK_REQUEST_CASES } from './request-cases.ts';

/** Blocks that the requests of the ring's cases read. */
const BLOCKS = 64;
const SEED = 1;

/**
 * Writes a pattern to the first blocks, and has the requests read it. A disk that does not keep what is written, or is
 * read-only, is asked for data that is not compared.
 */
async function openRequests(bench: ConformBench): Promise<RequestMaker> {
  const { sectors, unit, isReadOnly } = diskFacts(bench);
  const blocks = Math.max(1, Math.min(BLOCKS, Math.floor(sectors / unit)));
  const sectorOf = (n: number): number => (n % blocks) * unit;
  const room = unit * SECTOR_SIZE;
  const unknown = (n: number): GoodRequest => blockRequest({ type: VIRTIO_BLK_T_IN, sector: sectorOf(n), room });
  if (isReadOnly) return unknown;
  const whole = patternOf(0, SEED, blocks * unit);
  await bench.serve(bench.layOutRequest(writeOf(0, whole)));
  const read = bench.layOutRequest(blockRequest({ type: VIRTIO_BLK_T_IN, room: whole.length }));
  await bench.serve(read);
  const data = read.segments.find(({ isWritable }) => isWritable)!.buffer.read();
  if (Buffer.compare(data.subarray(0, whole.length), whole) !== 0) return unknown;
  return (n) => readOf(sectorOf(n), patternOf(sectorOf(n), SEED, unit));
}

const CLAUSES: readonly Clause[] = [
  { section: '5.2.4', level: 'text', requires: 'the fields of the configuration' },
  { section: '5.2.5.1', level: 'text', requires: 'writeback, which a driver may switch' },
  {
    section: '5.2.5.2',
    level: 'MUST',
    requires:
      'padding of 0; BLK_FLUSH with BLK_CONFIG_WCE; writeback of 0 without BLK_FLUSH; no BLK_ZONED without zones',
  },
  { section: '5.2.6', level: 'text', requires: 'what each request does, and its status' },
  {
    section: '5.2.6.2',
    level: 'MUST',
    requires: 'IOERR for writes to a read-only disk; UNSUPP for unknown flags; zeroes where zeroes were written',
  },
  {
    section: '5.2.6.2 (stable writes)',
    level: 'MUST',
    requires: 'a stable write is committed before it is reported',
    unseen: 'it shows only where the computer of the back-end loses its power',
  },
];

/** The cases of a block device (specification 1.4 section 5.2), all on its first queue. They write to the disk. */
export const BLOCK_CASES: DeviceCases = {
  clauses: CLAUSES,
  queues: [0],
  open: openRequests,
  openModel: openBlockModel,
  unprepared: () => blockRequest({ type: VIRTIO_BLK_T_IN, room: SECTOR_SIZE }),
  requestOn: (queue, usual, bench) => {
    const queues = bench.accepted.has(VIRTIO_BLK_F_MQ) ? Number(configValue(bench, BLOCK_CONFIG.num_queues)) : 1;
    return queue < queues ? { ...usual, queue } : undefined;
  },
  cases: [
    ...BLOCK_REQUEST_CASES,
    ...BLOCK_FRAMING_CASES,
    ...BLOCK_LIMIT_CASES,
    ...BLOCK_RANGE_CASES,
    ...BLOCK_CONFIG_CASES,
  ],
};
