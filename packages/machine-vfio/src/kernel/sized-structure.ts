import { getSystemErrorName } from 'node:util';
import { CodedError } from '@virtio-platform/core';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { NativeBuffer, type DeviceFile } from '@virtio-platform/host';
import type { IovaRange } from '@virtio-platform/platform-vfio';

/** More bytes than any structure of VFIO has. */
const MOST_BYTES = 2 ** 16;
/** Bytes of a capability header: id (16 bits), version (16), offset of the next capability (32). */
const CAPABILITY_HEADER = 8;
const MOST_CAPABILITIES = 64;
const LARGEST_PAGE = 2 ** 30;
/** Bytes of a range of I/O virtual addresses: first and last address, 64 bits each. */
export const IOVA_RANGE_BYTES = 16;

/** The name of a negated errno: `EPERM`. */
export function errnoName(result: number): string {
  return getSystemErrorName(result);
}

/** The error of a request that the kernel refused. `doing` completes "cannot ..."; `result` is the negated errno. */
export function kernelRefusal(doing: string, result: number, hint?: string): CodedError {
  return new CodedError('ERR_MACHINE_START', `cannot ${doing}: ${errnoName(result)}`, { hint });
}

/** Returns the result of a request. Throws {@link kernelRefusal} where it is a negated errno. */
export function checkErrno(result: number, doing: string, hint?: string): number {
  if (result < 0) throw kernelRefusal(doing, result, hint);
  return result;
}

/**
 * Makes a request with a structure whose first word is its size. Where the kernel answers there that it has more, the
 * request is made again with a structure of that size. Returns a copy of the structure; `fill` sets the other fields
 * before the request. Throws {@link CodedError}.
 */
export function readStructure(
  file: DeviceFile,
  request: number,
  { bytes, doing, fill }: { bytes: number; doing: string; fill?: (structure: DataView) => void },
): DataView {
  const readBytes = (size: number): DataView => {
    const argument = new NativeBuffer(size);
    try {
      argument.bytes.setUint32(0, size, true);
      fill?.(argument.bytes);
      checkErrno(file.control(request, argument), doing);
      return new DataView(argument.bytes.buffer.slice(0));
    } finally {
      argument.dispose();
    }
  };
  const structure = readBytes(bytes);
  const needed = structure.getUint32(0, true);
  if (needed <= bytes) return structure;
  if (needed > MOST_BYTES) throw new CodedError('ERR_MACHINE_START', `cannot ${doing}: it takes ${needed} bytes`);
  return readBytes(needed);
}

/**
 * Finds a capability in the chain that begins at offset `first`, 0 for no chain. Returns the bytes behind its header
 * where there are `least` or more. The search ends where the chain leaves the structure, and after {@link
 * MOST_CAPABILITIES}.
 */
export function findCapability(structure: DataView, first: number, id: number, least: number): DataView | undefined {
  let at = first;
  for (let count = 0; count < MOST_CAPABILITIES; count++) {
    if (at === 0 || at + CAPABILITY_HEADER > structure.byteLength) return undefined;
    if (structure.getUint16(at, true) === id) {
      const content = at + CAPABILITY_HEADER;
      return content + least > structure.byteLength ? undefined : new DataView(structure.buffer, content);
    }
    at = structure.getUint32(at + 4, true);
  }
  return undefined;
}

/**
 * Reads `count` ranges of I/O virtual addresses from byte `at` on. Leaves out addresses above 2^53, empty ranges, and
 * ranges that are not behind the one before.
 */
export function readIovaRanges(structure: DataView, count: number, at: number): IovaRange[] {
  const ranges: IovaRange[] = [];
  let lastEnd = -1;
  for (let i = 0; i < count && at + (i + 1) * IOVA_RANGE_BYTES <= structure.byteLength; i++) {
    const start = readWord(structure, at + i * IOVA_RANGE_BYTES);
    const end = readWord(structure, at + i * IOVA_RANGE_BYTES + 8);
    if (start <= lastEnd || end <= start) continue;
    ranges.push({ start, end });
    lastEnd = end;
  }
  return ranges;
}

/**
 * Checks the smallest page of an IOMMU, in bytes, as the kernel states it. Throws {@link CodedError} for one that no
 * IOMMU has: less than a page of memory, more than 1 GiB, or no power of two.
 */
export function checkPageSize(bytes: number): number {
  const isPower = Number.isInteger(Math.log2(bytes));
  if (isPower && bytes >= PAGE_SIZE && bytes <= LARGEST_PAGE) return bytes;
  throw new CodedError('ERR_MACHINE_START', `the kernel says that the smallest page of the IOMMU has ${bytes} bytes`, {
    hint: 'the driver of the IOMMU is broken; the kernel log may have the reason (dmesg)',
  });
}

/** Reads a 64-bit word as a number. A word above 2^53 is returned as the largest exact number. */
export function readWord(structure: DataView, at: number): number {
  const value = structure.getBigUint64(at, true);
  return value > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(value);
}

/** Writes a whole number below 2^64 as a 64-bit word, with the precision of the number. Hot: no allocation. */
export function writeWord(structure: DataView, at: number, value: number): void {
  structure.setUint32(at, value, true);
  structure.setUint32(at + 4, Math.floor(value / 0x1_0000_0000), true);
}
