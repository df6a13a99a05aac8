import type { Mismatch, MismatchKind } from '@virtio-platform/core';
import { fillPattern, hexadecimal } from '@virtio-platform/device-kit';
import type { BlockDriver } from '../block-driver.ts';
import {
  SECTOR_SIZE,
  VIRTIO_BLK_S_OK,
  VIRTIO_BLK_T_DISCARD,
  VIRTIO_BLK_T_FLUSH,
  VIRTIO_BLK_T_GET_ID,
  VIRTIO_BLK_T_GET_LIFETIME,
  VIRTIO_BLK_T_IN,
  VIRTIO_BLK_T_OUT,
  VIRTIO_BLK_T_SECURE_ERASE,
  VIRTIO_BLK_T_WRITE_ZEROES,
} from '../layout.ts';
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
}

const STATUS_NAMES: Readonly<Record<number, string>> = { 0: 'OK', 1: 'IOERR', 2: 'UNSUPP' };
/** Of the request types that have a place on the disk. */
const PLACED: Readonly<Record<number, string>> = {
  [VIRTIO_BLK_T_IN]: 'read',
  [VIRTIO_BLK_T_OUT]: 'write',
  [VIRTIO_BLK_T_DISCARD]: 'discard',
  [VIRTIO_BLK_T_WRITE_ZEROES]: 'write zeroes',
  [VIRTIO_BLK_T_SECURE_ERASE]: 'secure erase',
};
const OTHERS: Readonly<Record<number, string>> = {
  [VIRTIO_BLK_T_FLUSH]: 'flush',
  [VIRTIO_BLK_T_GET_ID]: 'get id',
  [VIRTIO_BLK_T_GET_LIFETIME]: 'get lifetime',
};
/** Blocks on either side among which misplaced data is looked for. */
const NEIGHBOURS = 64;
/** As many wrong bytes are counted, not called data of another place. */
const FEW_BYTES = 16;

/** The kind of mismatch of a request that is wrong: the status first, since it decides what the rest means. */
export function blockMismatchKind({ driver, index, expected }: WrongBlockRequest): MismatchKind {
  const status = driver.completedBytes[index]!;
  if (status === NO_STATUS) return 'status-missing';
  if (status === VIRTIO_BLK_S_OK && expected !== status) return 'unexpected';
  if (status !== VIRTIO_BLK_S_OK) return STATUS_NAMES[status] === undefined ? 'status-unknown' : 'status-error';
  return driver.completedLengths[index]! < driver.completedLeast[index]! ? 'used-length' : 'data';
}

/** Describes a request that is wrong. */
export function describeBlockMismatch(request: WrongBlockRequest): Omit<Mismatch, 'kind'> {
  const { driver, index, type } = request;
  const slot = driver.completedSlots[index]!;
  const status = driver.completedBytes[index]!;
  const used = { length: driver.completedLengths[index]!, least: driver.completedLeast[index]! };
  const deviceAddress = driver.dataDeviceAddress(slot);
  const difference = type === VIRTIO_BLK_T_IN ? firstDifference(request) : null;
  return {
    request: request.request,
    what: nameOf(request),
    detail: describeDetail(request, status, used, difference),
    queue: request.queue,
    buffer: driver.completedIds[index]!,
    address: hexadecimal(driver.dataAddress(slot)),
    deviceAddress: deviceAddress === undefined ? null : hexadecimal(deviceAddress),
    difference,
    status,
    used,
  };
}

/** The request and its place: `read of sector 312`, `discard of sectors 8 to 15 and 2 more ranges`. */
function nameOf({ type, block, blockSize, ranges }: WrongBlockRequest): string {
  const placed = PLACED[type];
  if (placed === undefined) return OTHERS[type] ?? `request of type ${type}`;
  const sectors = blockSize / SECTOR_SIZE;
  if (ranges === undefined) return `${placed} of sector ${block * sectors}`;
  const [first, ...others] = ranges.runs;
  const more = others.length === 0 ? '' : ` and ${others.length} more range${others.length === 1 ? '' : 's'}`;
  return `${placed} of sectors ${block * sectors} to ${(block + first!.count) * sectors - 1}${more}`;
}

function describeDetail(
  request: WrongBlockRequest,
  status: number,
  used: NonNullable<Mismatch['used']>,
  difference: Mismatch['difference'],
): string {
  const length = `used length ${used.length}`;
  switch (blockMismatchKind(request)) {
    case 'status-missing':
      return `the device returned the buffer and left the status byte unwritten (${length})`;
    case 'unexpected':
      return `the device answered status OK, ${length}: it has to refuse, with ${nameOfStatus(request.expected)}`;
    case 'status-error':
      return `the device answered ${nameOfStatus(status)}, ${length}${describeExpected(request)}`;
    case 'status-unknown':
      return `the device answered status ${status}, which is none of OK 0, IOERR 1 and UNSUPP 2 (5.2.6)`;
    case 'used-length':
      return `${length} with status OK does not cover data and status, ${used.least} in all: legal, but not to rely on (2.7.8.2)`;
    default:
      return `${describeDifference(request, difference)}, status OK, ${length}`;
  }
}

function nameOfStatus(status: number): string {
  return `status ${status} (VIRTIO_BLK_S_${STATUS_NAMES[status]})`;
}

function describeExpected({ expected }: WrongBlockRequest): string {
  return expected === VIRTIO_BLK_S_OK ? '' : `: it has to refuse, with ${nameOfStatus(expected)}`;
}

function describeDifference(request: WrongBlockRequest, difference: Mismatch['difference']): string {
  if (difference === null) return 'the data differs';
  const { offset, expected, actual } = difference;
  const place = `byte ${offset} is ${hexadecimal(actual)} instead of ${hexadecimal(expected)}`;
  const origin = recognise(request, offset);
  return origin === undefined ? place : `${place}: ${origin}`;
}

function firstDifference(request: WrongBlockRequest): Mismatch['difference'] {
  if (request.round === UNKNOWN_ROUND || request.round === UNDEFINED_ROUND) return null;
  const actual = readData(request);
  const expected = pattern(request, request.block, request.round);
  const offset = actual.findIndex((byte, at) => byte !== expected[at]);
  return offset < 0 ? null : { offset, expected: expected[offset]!, actual: actual[offset]! };
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
