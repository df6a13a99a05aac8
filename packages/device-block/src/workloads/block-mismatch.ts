import type { Mismatch, MismatchKind } from '@virtio-platform/core';
import { fillPattern, hexadecimal } from '@virtio-platform/device-kit';
import type { BlockDriver } from '../block-driver.ts';
import { SECTOR_SIZE, VIRTIO_BLK_S_OK, VIRTIO_BLK_T_OUT } from '../layout.ts';
import { NO_STATUS } from '../piece-buffers.ts';

/** A block request that came back wrong, at place `index` of the last `poll` of its driver. */
export interface WrongBlockRequest {
  readonly driver: BlockDriver;
  readonly queue: number;
  readonly index: number;
  /** VIRTIO_BLK_T_IN or VIRTIO_BLK_T_OUT. */
  readonly type: number;
  readonly block: number;
  readonly blockSize: number;
  readonly round: number;
  readonly seed: number;
  /** The number of the request, counted from 1. */
  readonly request: number;
  readonly memory: Uint8Array;
}

const STATUS_NAMES: Readonly<Record<number, string>> = { 1: 'IOERR', 2: 'UNSUPP' };
/** Blocks on either side among which misplaced data is looked for. */
const NEIGHBOURS = 64;
/** As many wrong bytes are counted, not called data of another place. */
const FEW_BYTES = 16;

/** The kind of mismatch of a request that is wrong: the status first, since it decides what the rest means. */
export function blockMismatchKind({ driver, index }: WrongBlockRequest): MismatchKind {
  const status = driver.completedBytes[index]!;
  if (status === NO_STATUS) return 'status-missing';
  if (status !== VIRTIO_BLK_S_OK) return STATUS_NAMES[status] === undefined ? 'status-unknown' : 'status-error';
  return driver.completedLengths[index]! < driver.completedLeast[index]! ? 'used-length' : 'data';
}

/** Describes a request that is wrong. */
export function describeBlockMismatch(request: WrongBlockRequest): Omit<Mismatch, 'kind'> {
  const { driver, index, type, block, blockSize } = request;
  const slot = driver.completedSlots[index]!;
  const status = driver.completedBytes[index]!;
  const used = { length: driver.completedLengths[index]!, least: driver.completedLeast[index]! };
  const deviceAddress = driver.dataDeviceAddress(slot);
  const difference = type === VIRTIO_BLK_T_OUT ? null : firstDifference(request);
  return {
    request: request.request,
    what: `${type === VIRTIO_BLK_T_OUT ? 'write' : 'read'} of sector ${(block * blockSize) / SECTOR_SIZE}`,
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
    case 'status-error':
      return `the device answered status ${status} (VIRTIO_BLK_S_${STATUS_NAMES[status]}), ${length}`;
    case 'status-unknown':
      return `the device answered status ${status}, which is none of OK 0, IOERR 1 and UNSUPP 2 (5.2.6)`;
    case 'used-length':
      return `${length} with status OK does not cover data and status, ${used.least} in all: legal, but not to rely on (2.7.8.2)`;
    default:
      return `${describeDifference(request, difference)}, status OK, ${length}`;
  }
}

function describeDifference(request: WrongBlockRequest, difference: Mismatch['difference']): string {
  if (difference === null) return 'the data differs';
  const { offset, expected, actual } = difference;
  const place = `byte ${offset} is ${hexadecimal(actual)} instead of ${hexadecimal(expected)}`;
  const origin = recognise(request, offset);
  return origin === undefined ? place : `${place}: ${origin}`;
}

function firstDifference(request: WrongBlockRequest): Mismatch['difference'] {
  const actual = readData(request);
  const expected = pattern(request, request.block, request.round);
  const offset = actual.findIndex((byte, at) => byte !== expected[at]);
  return offset < 0 ? null : { offset, expected: expected[offset]!, actual: actual[offset]! };
}

/** What the data is from the first difference on, where that is known. */
function recognise(request: WrongBlockRequest, offset: number): string | undefined {
  const { block, round } = request;
  const actual = readData(request).subarray(offset);
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
  fillPattern(words, 0, blockSize, seed, block, round);
  return new Uint8Array(words.buffer);
}
