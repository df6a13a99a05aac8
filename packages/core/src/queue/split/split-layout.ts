import { DESCRIPTOR_SIZE } from '../ring/descriptor-table.ts';

/** avail.flags: the driver does not want used buffer notifications. Specification 1.4 section 2.7.6. */
export const VIRTQ_AVAIL_F_NO_INTERRUPT = 1;
/** used.flags: the device does not want available buffer notifications. Section 2.7.8. */
export const VIRTQ_USED_F_NO_NOTIFY = 1;

/** Page size of the legacy PCI interface in bytes, and the unit of its queue address register. Section 4.1.5.1.3. */
export const LEGACY_QUEUE_ALIGN = 4096;

/** Bytes of flags and index of the used ring, and of each element behind them. Section 2.7.8. */
const USED_HEADER = 4;
const USED_ELEMENT = 8;

/** Sizes and offsets of the three areas of a split virtqueue, in bytes. Specification 1.4 sections 2.7 and 2.7.2. */
export interface SplitLayout {
  readonly descriptorBytes: number;
  readonly driverBytes: number;
  readonly deviceBytes: number;
  /** Offsets inside one allocation that holds all three. */
  readonly driverOffset: number;
  readonly deviceOffset: number;
  readonly totalBytes: number;
  /** Alignment of the allocation. */
  readonly alignment: number;
}

/**
 * Lays out a queue of `size` entries. `queueAlign` aligns the device area: 4096 on the legacy interface, where the
 * driver cannot choose, and 4 otherwise. With `wholeUsedElements` the used ring lies at 4 modulo 8, which its alignment
 * of 4 permits: its elements of 8 bytes, which follow 4 bytes of flags and index, then cross no page. Throws
 * `RangeError` unless `size` is a power of two from 1 to 32768.
 */
export function splitLayout(size: number, queueAlign: number, wholeUsedElements = false): SplitLayout {
  if (!Number.isInteger(size) || size < 1 || size > 32768 || (size & (size - 1)) !== 0) {
    throw new RangeError(`a split virtqueue has a power of two of entries, 1 to 32768, not ${size}`);
  }
  const descriptorBytes = DESCRIPTOR_SIZE * size;
  const driverBytes = 6 + 2 * size;
  const deviceBytes = 6 + 8 * size;
  const earliest = alignUp(descriptorBytes + driverBytes, queueAlign);
  const deviceOffset = wholeUsedElements ? alignUp(earliest - USED_HEADER, USED_ELEMENT) + USED_HEADER : earliest;
  return {
    descriptorBytes,
    driverBytes,
    deviceBytes,
    driverOffset: descriptorBytes,
    deviceOffset,
    totalBytes: alignUp(deviceOffset + deviceBytes, queueAlign),
    alignment: Math.max(DESCRIPTOR_SIZE, queueAlign),
  };
}

function alignUp(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment;
}
