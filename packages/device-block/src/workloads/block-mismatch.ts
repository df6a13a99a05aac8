import type { Mismatch, MismatchKind } from '@virtio-platform/core';
import { fillPattern, hexadecimal, findDifference } from '@virtio-platform/device-kit';
import type { BlockDriver } from '../block-driver.ts';
import { SECTOR_SIZE, VIRTIO_BLK_S_OK, VIRTIO_BLK_T_IN } from '../layout.ts';
import { GUARD_WORD } from '../slots/block-slots.ts';
import { nameOfRequest, nameOfType } from '../request-name.ts';
import { NO_STATUS } from '../slots/piece-buffers.ts';
import { UNDEFINED_ROUND, UNKNOWN_ROUND, ZERO_ROUND, type BlockRequest } from './block-request.ts';

/** A block request that came back wrong, at place `index` of the last `poll` of its driver. */
export interface WrongBlockRequest extends BlockRequest {
  readonly driver: BlockDriver;
  readonly queue: number;
  readonly index: number;
  readonly blockSize: number;
  readonly seed: number;
  /** The number of the request, counted from 1. */
  readonly request: number;
  readonly memory: Uint8Array;
  /** The request that wrote the block last, where that is known. */
  readonly writer: { readonly request: number; readonly queue: number; readonly buffer: number } | undefined;
}

const STATUS_NAMES: Readonly<Record<number, string>> = { 0: 'OK', 1: 'IOERR', 2: 'UNSUPP' };
/** How long a status is waited for that was missing, to tell a late one from none. */
const LATE_STATUS_MS = 50;
/** Milliseconds between two looks. */
const LOOK_MS = 5;
/** Blocks on either side among which misplaced data is looked for. */
const NEIGHBOURS = 64;
/** As many wrong bytes are counted, not called data of another place. */
const FEW_BYTES = 16;

/** The kind of mismatch of a request that is wrong: the status first, since it decides what the rest means. */
export function blockMismatchKind({ driver, index, expected }: WrongBlockRequest): MismatchKind {
  const status = driver.completedBytes[index]!;
  if (!driver.isGuarded(driver.completedSlots[index]!)) return 'overrun';
  if (status === NO_STATUS) return 'status-missing';
  if (status === VIRTIO_BLK_S_OK && expected !== status) return 'unexpected';
  if (status !== VIRTIO_BLK_S_OK) return STATUS_NAMES[status] === undefined ? 'status-unknown' : 'status-error';
  return driver.completedLengths[index]! < driver.completedLeast[index]! ? 'used-length' : 'data';
}

/** Describes a request that is wrong. */
export function describeBlockMismatch(request: WrongBlockRequest): Omit<Mismatch, 'kind'> {
  const { driver, index } = request;
  const slot = driver.completedSlots[index]!;
  const status = driver.completedBytes[index]!;
  const used = { length: driver.completedLengths[index]!, least: driver.completedLeast[index]! };
  const deviceAddress = driver.dataDeviceAddress(slot);
  const difference = differenceOf(request);
  const told = describeDetail(request, status, used, difference);
  return {
    request: request.request,
    what: nameOf(request),
    detail: told.detail,
    brief: told.brief,
    writer: request.writer,
    queue: request.queue,
    buffer: driver.completedIds[index]!,
    address: hexadecimal(driver.dataAddress(slot)),
    deviceAddress: deviceAddress === undefined ? null : hexadecimal(deviceAddress),
    difference,
    status,
    used,
  };
}

/** What a few words say, and the whole sentence. */
interface Told {
  readonly brief?: string;
  readonly detail: string;
}

/** The request and its place: `read of sector 312`, `discard of sectors 8 to 15 and 2 more ranges`. */
function nameOf({ type, block, blockSize, ranges }: WrongBlockRequest): string {
  const sectors = blockSize / SECTOR_SIZE;
  if (ranges === undefined) return nameOfRequest(type, block * sectors);
  const [first, ...others] = ranges.runs;
  const more = others.length === 0 ? '' : ` and ${others.length} more range${others.length === 1 ? '' : 's'}`;
  return `${nameOfType(type)} of sectors ${block * sectors} to ${(block + first!.count) * sectors - 1}${more}`;
}

function describeDetail(
  request: WrongBlockRequest,
  status: number,
  used: NonNullable<Mismatch['used']>,
  difference: Mismatch['difference'],
): Told {
  const length = `used length ${used.length}`;
  switch (blockMismatchKind(request)) {
    case 'overrun':
      return describeOverrun(request);
    case 'status-missing':
      return describeMissingStatus(request, length);
    case 'unexpected':
      return {
        detail: `the device answered status OK, ${length}: it has to refuse, with ${nameOfStatus(request.expected)}`,
      };
    case 'status-error':
      return { detail: `the device answered ${nameOfStatus(status)}, ${length}${describeExpected(request)}` };
    case 'status-unknown':
      return { detail: `the device answered status ${status}, which is none of OK 0, IOERR 1 and UNSUPP 2 (5.2.6)` };
    case 'used-length':
      return {
        brief: `used length ${used.length}, where data and status are ${used.least}`,
        detail: `${length} with status OK does not cover data and status, ${used.least} in all: legal, but not to rely on (2.7.8.2)`,
      };
    default:
      return describeDifference(request, difference, `, status OK, ${length}`);
  }
}

/** A status that is not there when its buffer comes back, and maybe comes later. */
function describeMissingStatus({ driver, index }: WrongBlockRequest, length: string): Told {
  const id = driver.completedIds[index]!;
  let status = driver.statusNow(id);
  // Few looks: each may be an event of the recorder, which still has what happened before.
  for (let looks = 0; status === NO_STATUS && looks * LOOK_MS < LATE_STATUS_MS; looks++) {
    const since = performance.now();
    while (performance.now() - since < LOOK_MS);
    status = driver.statusNow(id);
  }
  if (status === NO_STATUS)
    return { detail: `the device returned the buffer and left the status byte unwritten (${length})` };
  return {
    detail: `the device returned the buffer before it wrote its status, ${status}, which came later (${length})`,
  };
}

/** The bytes behind the data that are not as the driver left them. */
function describeOverrun({ driver, index, memory }: WrongBlockRequest): Told {
  const slot = driver.completedSlots[index]!;
  const start = driver.guardAddress(slot);
  const guard = memory.subarray(start, start + driver.guardBytes);
  const untouched = guardPattern(driver.guardBytes);
  const changed = guard.findLastIndex((byte, at) => byte !== untouched[at]) + 1;
  const first = guard.findIndex((byte, at) => byte !== untouched[at]);
  const end = first + 1 === changed ? `byte ${first}` : `bytes ${first} to ${changed - 1}`;
  return {
    brief: 'the device wrote beyond the end of the data buffer',
    detail: `${end} behind the data (from ${hexadecimal(start + first)}) changed while the device had the buffer`,
  };
}

function guardPattern(bytes: number): Uint8Array {
  return new Uint8Array(new Uint32Array(bytes / 4).fill(GUARD_WORD).buffer);
}

function nameOfStatus(status: number): string {
  return `status ${status} (VIRTIO_BLK_S_${STATUS_NAMES[status]})`;
}

function describeExpected({ expected }: WrongBlockRequest): string {
  return expected === VIRTIO_BLK_S_OK ? '' : `: it has to refuse, with ${nameOfStatus(expected)}`;
}

function describeDifference(request: WrongBlockRequest, difference: Mismatch['difference'], end: string): Told {
  if (difference === null) return { detail: `the data differs${end}` };
  const { offset, expected, actual } = difference;
  const place = `byte ${offset} is ${hexadecimal(actual)} instead of ${hexadecimal(expected)}`;
  const origin = recognise(request, offset);
  const detail = `${origin === undefined ? place : `${place}: ${origin}`}${end}`;
  const isCount = origin !== undefined && /^(no other byte|\d+ bytes differ)/.test(origin);
  return { brief: isCount ? `${place}, ${origin}` : (origin ?? place), detail };
}

/** The first byte that differs of a read, or behind the data of a buffer that the device wrote beyond. */
function differenceOf(request: WrongBlockRequest): Mismatch['difference'] {
  const { driver, index, memory, type, block, round } = request;
  const slot = driver.completedSlots[index]!;
  if (!driver.isGuarded(slot)) {
    const start = driver.dataAddress(slot);
    const actual = memory.slice(start, start + driver.maxBytes + driver.guardBytes);
    const expected = actual.slice();
    expected.set(guardPattern(driver.guardBytes), driver.maxBytes);
    return findDifference(expected, actual) ?? null;
  }
  if (type !== VIRTIO_BLK_T_IN || round === UNKNOWN_ROUND || round === UNDEFINED_ROUND) return null;
  return findDifference(pattern(request, block, round), readData(request)) ?? null;
}

/** What the data is from the first difference on, where that is known. */
function recognise(request: WrongBlockRequest, offset: number): string | undefined {
  const { block, round } = request;
  const actual = readData(request).subarray(offset);
  if (round === ZERO_ROUND) return 'zeroes were written there';
  if (actual.every((byte) => byte === 0)) return `every byte from ${offset} on is 0, as if never written`;
  const isOf = (otherBlock: number, otherRound: number): boolean => {
    const other = pattern(request, otherBlock, otherRound).subarray(offset);
    return actual.every((byte, at) => byte === other[at]);
  };
  for (let older = round - 1; older >= 0 && older > round - 3; older--)
    if (isOf(block, older)) return `that is what round ${older} wrote there, and round ${round} wrote since`;
  const sector = findSector(request, actual);
  if (sector !== undefined) return `that is the data of sector ${sector}`;
  const expected = pattern(request, block, round).subarray(offset);
  const wrong = actual.reduce((sum, byte, at) => sum + (byte === expected[at] ? 0 : 1), 0);
  if (wrong > FEW_BYTES || wrong === actual.length) return undefined;
  return wrong === 1 ? 'no other byte differs' : `${wrong} bytes differ in all`;
}

/** The sector near the block whose data `actual` begins with, where that is one. */
function findSector(request: WrongBlockRequest, actual: Uint8Array): number | undefined {
  const { block, blockSize, round } = request;
  const first = Math.max(0, block - NEIGHBOURS);
  const blocks = Array.from({ length: block + NEIGHBOURS + 1 - first }, (_, at) => pattern(request, first + at, round));
  const at = Buffer.concat(blocks).indexOf(actual.subarray(0, SECTOR_SIZE));
  const isAligned = at >= 0 && at % SECTOR_SIZE === 0;
  return isAligned ? (first * blockSize + at) / SECTOR_SIZE : undefined;
}

function readData({ driver, index, blockSize, memory }: WrongBlockRequest): Uint8Array {
  const address = driver.dataAddress(driver.completedSlots[index]!);
  return memory.slice(address, address + blockSize);
}

function pattern({ blockSize, seed }: WrongBlockRequest, block: number, round: number): Uint8Array {
  const words = new Uint32Array(blockSize / 4);
  if (round !== ZERO_ROUND) fillPattern(words, 0, blockSize, seed, block, round);
  return new Uint8Array(words.buffer);
}
