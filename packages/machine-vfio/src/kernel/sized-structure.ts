import { getSystemErrorName } from 'node:util';
import { CodedError } from '@virtio-platform/core';
import { NativeBuffer, type DeviceFile } from '@virtio-platform/host';
import type { IovaRange } from '@virtio-platform/platform-vfio';

/** More than any structure of VFIO has. */
const MOST_BYTES = 2 ** 16;
/** A capability: its kind (16 bits), its version (16), where the next one is (32). */
const CAPABILITY_HEADER = 8;
const MOST_CAPABILITIES = 64;

/**
 * Asks for a structure whose first word is its size. Where the kernel has more to tell it says so there, and is asked once more with
 * room for all of it. Returns a copy; `fill` sets what is asked for. Throws {@link CodedError}.
 */
export function readStructure(
  file: DeviceFile,
  request: number,
  { bytes, doing, fill }: { bytes: number; doing: string; fill?: (structure: DataView) => void },
): DataView {
  const structure = ask(file, request, bytes, doing, fill);
  const needed = structure.getUint32(0, true);
  if (needed <= bytes) return structure;
  if (needed > MOST_BYTES) throw new CodedError('ERR_MACHINE_START', `cannot ${doing}: it takes ${needed} bytes`);
  return ask(file, request, needed, doing, fill);
}

function ask(
  file: DeviceFile,
  request: number,
  bytes: number,
  doing: string,
  fill: ((structure: DataView) => void) | undefined,
): DataView {
  const argument = new NativeBuffer(bytes);
  try {
    argument.bytes.setUint32(0, bytes, true);
    fill?.(argument.bytes);
    accepted(file.control(request, argument), doing);
    return new DataView(argument.bytes.buffer.slice(0));
  } finally {
    argument.dispose();
  }
}

/**
 * Finds a capability in the chain that begins at `first`, 0 where there is none: what follows its header, if that is `least` bytes
 * or more. A chain that leaves the structure or does not end is not followed further.
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

/** A 64-bit word as a number; one above 2^53 as the largest number that is exact. */
export function readWord(structure: DataView, at: number): number {
  const value = structure.getBigUint64(at, true);
  return value > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(value);
}

/** Writes a whole number below 2^64, as exact as it is. Hot: no allocation. */
export function writeWord(structure: DataView, at: number, value: number): void {
  structure.setUint32(at, value, true);
  structure.setUint32(at + 4, Math.floor(value / 0x1_0000_0000), true);
}


/** The name of a negated errno: `EPERM`. */
export function errnoOf(result: number): string {
  return getSystemErrorName(result);
}

/** The kernel does not hand out the device. `doing` completes "cannot ..."; `result` is the negated errno. */
export function kernelRefusal(doing: string, result: number, hint?: string): CodedError {
  return new CodedError('ERR_MACHINE_START', `cannot ${doing}: ${errnoOf(result)}`, { hint });
}

/** Passes a result through, or throws {@link kernelRefusal} for a negated errno. */
export function accepted(result: number, doing: string, hint?: string): number {
  if (result < 0) throw kernelRefusal(doing, result, hint);
  return result;
}


const RANGE_BYTES = 16;

/**
 * Reads `count` ranges of I/O virtual addresses: first and last, 64 bits each, from byte `at` on. What lies above 2^53 is left out,
 * and so is a range that is none or that is not behind the one before.
 */
export function iovaRanges(structure: DataView, count: number, at: number): IovaRange[] {
  const ranges: IovaRange[] = [];
  let behind = -1;
  for (let i = 0; i < count && at + (i + 1) * RANGE_BYTES <= structure.byteLength; i++) {
    const start = readWord(structure, at + i * RANGE_BYTES);
    const end = readWord(structure, at + i * RANGE_BYTES + 8);
    if (start <= behind || end <= start) continue;
    ranges.push({ start, end });
    behind = end;
  }
  return ranges;
}
