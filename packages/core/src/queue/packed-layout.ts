import { DESCRIPTOR_SIZE } from './split-layout.ts';

/** Marks a descriptor available, with the driver's wrap counter. Specification 1.4 section 2.8.1. */
export const VIRTQ_DESC_F_AVAIL: number = 1 << 7;
/** Marks a descriptor used, with the device's wrap counter. */
export const VIRTQ_DESC_F_USED: number = 1 << 15;

/** Event suppression flags: notify always, never, or at a descriptor (only with EVENT_IDX). Section 2.8.10. */
export const RING_EVENT_FLAGS_ENABLE = 0;
export const RING_EVENT_FLAGS_DISABLE = 1;
export const RING_EVENT_FLAGS_DESC = 2;

/** Bytes of an event suppression structure: le16 offset and wrap counter, le16 flags. */
export const RING_EVENT_SIZE = 4;

/** Sizes and offsets of the three areas of a packed virtqueue, in bytes. Section 2.8.10.1. */
export interface PackedLayout {
  readonly driverOffset: number;
  readonly deviceOffset: number;
  readonly totalBytes: number;
  readonly alignment: number;
}

/** Lays out a queue of `size` entries: any number from 1 to 32768. */
export function packedLayout(size: number): PackedLayout {
  if (!Number.isInteger(size) || size < 1 || size > 32768) {
    throw new RangeError(`a packed virtqueue has 1 to 32768 entries, not ${size}`);
  }
  const driverOffset = DESCRIPTOR_SIZE * size;
  const deviceOffset = driverOffset + RING_EVENT_SIZE;
  return { driverOffset, deviceOffset, totalBytes: deviceOffset + RING_EVENT_SIZE, alignment: DESCRIPTOR_SIZE };
}

/**
 * A place in a packed ring: the slot in the low 15 bits, the wrap counter in bit 15. One value, so that the two are never seen
 * apart: reading them one after the other let Linux run out of bounds (fixed in 2022).
 */
export const FIRST_POSITION = 0x8000;

/** The slot of a position. */
export function slotOf(position: number): number {
  return position & 0x7fff;
}

/** The place `slots` (at most `size`) further on. The wrap counter toggles behind the last slot. */
export function advance(position: number, slots: number, size: number): number {
  const slot = (position & 0x7fff) + slots;
  return slot < size ? (position & 0x8000) | slot : ((position & 0x8000) ^ 0x8000) | (slot - size);
}

/** The flags that make a descriptor at this position available. */
export function availableFlags(position: number): number {
  return (position & 0x8000) === 0 ? VIRTQ_DESC_F_USED : VIRTQ_DESC_F_AVAIL;
}

/** The flags that make a descriptor at this position used. */
export function usedFlags(position: number): number {
  return (position & 0x8000) === 0 ? 0 : VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED;
}

/** Whether a descriptor with these flags is available at this position. */
export function isAvailable(flags: number, position: number): boolean {
  return (flags & (VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED)) === availableFlags(position);
}

/** Whether a descriptor with these flags is used at this position. */
export function isUsed(flags: number, position: number): boolean {
  return (flags & (VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED)) === usedFlags(position);
}
