import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';

/** The fields of a descriptor. In a packed ring `next` is the buffer id. */
export interface DescriptorCopy {
  readonly low: number;
  readonly high: number;
  readonly length: number;
  readonly flags: number;
  readonly next: number;
}

/** A descriptor of the ring as it was when its buffer became available. */
export interface OwnedDescriptor extends DescriptorCopy {
  readonly index: number;
}

/** A part of a buffer, with the bytes that it had when the device got it. */
export interface OwnedPart {
  /** The descriptor that describes it. */
  readonly index: number;
  readonly isInTable: boolean;
  /** Its address as a number: it is compared, and never used. */
  readonly address: number;
  readonly low: number;
  readonly high: number;
  readonly length: number;
  readonly isWritable: boolean;
  /** Its first bytes; empty where none are compared. Follows what the device writes. */
  readonly bytes: Uint8Array;
  /** Whether what is in {@link bytes} is still known. */
  isKnown: boolean;
}

/** The indirect table of a buffer. */
export interface OwnedTable {
  readonly low: number;
  readonly high: number;
  readonly bytes: Uint8Array;
}

/** A buffer from the moment at which it became available until it was shown as used. */
export interface OwnedBuffer {
  /** The first descriptor in a split ring, the buffer id in a packed one. */
  readonly id: number;
  /** Names this use of its descriptors. */
  readonly serial: number;
  /** Entries of the ring that it takes. */
  readonly slots: number;
  readonly descriptors: readonly OwnedDescriptor[];
  readonly table: OwnedTable | undefined;
  readonly parts: readonly OwnedPart[];
  /** Of the address space, when the copies were made: where it changed, copies are not compared. */
  readonly generation: number;
  /** Whether a change was found: one is told of each buffer. */
  isChanged: boolean;
}

/** Bytes of a part that are compared, and of all parts of a buffer. */
const MOST_OF_PART = 4096;
const MOST_OF_BUFFER = 16_384;

/**
 * Copies the beginning of each part, and looks whether its last byte is there too. What cannot be read is a fault in
 * the log of `space`; `at` is told of the part first.
 */
export function copyParts(
  parts: readonly Omit<OwnedPart, 'bytes' | 'isKnown'>[],
  space: DeviceAddressSpace,
  budget: number,
  at: (part: { readonly index: number; readonly isInTable: boolean }) => void,
): OwnedPart[] {
  let left = Math.min(MOST_OF_BUFFER, budget);
  const last = new Uint8Array(1);
  return parts.map((part) => {
    const { low, high, length } = part;
    const bytes = new Uint8Array(Math.min(MOST_OF_PART, left, length));
    left -= bytes.length;
    at(part);
    const end = low + length - 1;
    const isKnown =
      space.read(low, high, bytes, 0, bytes.length) &&
      space.read(end >>> 0, (high + (end >= 0x1_0000_0000 ? 1 : 0)) >>> 0, last, 0, 1);
    return { ...part, bytes, isKnown };
  });
}

/** The first part whose bytes are not those of its copy; `undefined` where none changed that can be compared. */
export function changedPart(buffer: OwnedBuffer, space: DeviceAddressSpace): OwnedPart | undefined {
  if (space.generation !== buffer.generation) return undefined;
  return buffer.parts.find((part) => {
    if (!part.isKnown || part.bytes.length === 0) return false;
    const now = new Uint8Array(part.bytes.length);
    return space.read(part.low, part.high, now, 0, now.length) && !isSame(now, part.bytes);
  });
}

/** The first entry of the indirect table that is not as it was; -1 where none changed that can be compared. */
export function changedEntry({ table, generation }: OwnedBuffer, space: DeviceAddressSpace): number {
  if (table === undefined || space.generation !== generation) return -1;
  const now = new Uint8Array(table.bytes.length);
  if (!space.read(table.low, table.high, now, 0, now.length)) return -1;
  const byte = now.findIndex((value, i) => value !== table.bytes[i]);
  return byte < 0 ? -1 : byte >>> 4;
}

/** The device wrote these bytes: copies of them follow. */
export function followWrite(
  buffer: OwnedBuffer,
  address: number,
  source: Uint8Array,
  at: number,
  length: number,
  isWhole: boolean,
): void {
  for (const part of buffer.parts) {
    const from = Math.max(address, part.address);
    const to = Math.min(address + length, part.address + part.bytes.length);
    if (from >= to) continue;
    if (isWhole) part.bytes.set(source.subarray(at + from - address, at + to - address), from - part.address);
    else part.isKnown = false;
  }
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}
