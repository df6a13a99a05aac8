import { DESCRIPTOR_SIZE } from '../ring/descriptor-table.ts';
import { needsNotification } from '../ring/notification.ts';

/** Marks a descriptor available, with the driver's wrap counter. Specification 1.4 section 2.8.1. */
export const VIRTQ_DESC_F_AVAIL: number = 1 << 7;
/** Marks a descriptor used, with the device's wrap counter. */
export const VIRTQ_DESC_F_USED: number = 1 << 15;

/** Event suppression flags: always notify. Section 2.8.10. */
export const RING_EVENT_FLAGS_ENABLE = 0;
/** Event suppression flags: never notify. */
export const RING_EVENT_FLAGS_DISABLE = 1;
/** Event suppression flags: notify at a descriptor; only with EVENT_IDX. */
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

/** Lays out a queue of `size` entries. Throws `RangeError` unless `size` is an integer from 1 to 32768. */
export function packedLayout(size: number): PackedLayout {
  if (!Number.isInteger(size) || size < 1 || size > 32768) {
    throw new RangeError(`a packed virtqueue has 1 to 32768 entries, not ${size}`);
  }
  const driverOffset = DESCRIPTOR_SIZE * size;
  const deviceOffset = driverOffset + RING_EVENT_SIZE;
  return { driverOffset, deviceOffset, totalBytes: deviceOffset + RING_EVENT_SIZE, alignment: DESCRIPTOR_SIZE };
}

/**
 * The first position in a packed ring. A position has the slot in the low 15 bits and the wrap counter in bit 15: one
 * value, so that no code reads one without the other. Reading them one after the other let Linux run out of bounds
 * (fixed in 2022).
 */
export const FIRST_POSITION = 0x8000;

/** The slot of a position. */
export function slotOf(position: number): number {
  return position & 0x7fff;
}

/** The position `slots` (at most `size`) further on. The wrap counter toggles behind the last slot. */
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

/**
 * Tests the event suppression structure `event` of the other end (position in the low half, flags in the high one):
 * whether it asks for a notification now that this end is at `position`, `moved` slots further on than at the last
 * test. Reserved flags count as "always". Specification 1.4 section 2.8.10. Hot.
 */
export function packedNeedsNotification(
  event: number,
  position: number,
  moved: number,
  size: number,
  eventIdx: boolean,
): boolean {
  const flags = (event >>> 16) & 3;
  if (flags === RING_EVENT_FLAGS_DISABLE) return false;
  if (flags !== RING_EVENT_FLAGS_DESC || !eventIdx) return true;
  const slot = position & 0x7fff;
  const isOfThisLap = ((event ^ position) & 0x8000) === 0;
  const eventSlot = (event & 0x7fff) - (isOfThisLap ? 0 : size);
  return needsNotification(eventSlot, slot, slot - moved);
}
