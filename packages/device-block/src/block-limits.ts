import { DeviceError, type ConfigField } from '@virtio-platform/core';
import type { ConfigFields } from '@virtio-platform/device-kit';
import { SECTOR_SIZE } from './layout.ts';

/** What one discard, write zeroes or secure erase may have. A longer one is cut, as in Linux. */
export interface RangeLimits {
  /** Sectors of all ranges of a request together: whole blocks, at least one. */
  readonly maxSectors: number;
  /** Ranges of a request, at least 1. */
  readonly maxSegments: number;
  /** A cut is made at a multiple of so many sectors where there is one: whole blocks. */
  readonly alignment: number;
}

/** The fields of one kind of range request. */
export interface RangeFields {
  readonly sectors: ConfigField;
  readonly segments: ConfigField;
  readonly alignment?: ConfigField;
}

/** Most sectors of a range: `num_sectors` has 32 bits. */
const MOST_SECTORS = 0xffff_ffff;
/** As MAX_DISCARD_SEGMENTS of Linux. */
const MOST_SEGMENTS = 256;

/**
 * Reads limits that may be 0, as Linux does: as many sectors as the field of a range holds, as many segments as
 * `segments` says, and an alignment of one block. Throws {@link DeviceError} `ERR_DEVICE_CONFIG` where not even one
 * block fits.
 */
export function readRangeLimits(
  fields: ConfigFields,
  names: RangeFields,
  blockSize: number,
  segments: number,
): RangeLimits {
  return limitsOf(
    fields.number(names.sectors, 0) || MOST_SECTORS,
    fields.number(names.segments, 0) || segments,
    names.alignment === undefined ? 0 : fields.number(names.alignment, 0),
    blockSize,
  );
}

/**
 * Reads limits none of which may be 0, as Linux refuses such a device. Throws {@link DeviceError} `ERR_DEVICE_CONFIG`.
 */
export function readEraseLimits(fields: ConfigFields, names: Required<RangeFields>, blockSize: number): RangeLimits {
  const read = (field: ConfigField, name: string): number => {
    const value = fields.number(field, 0);
    if (value > 0) return value;
    throw new DeviceError('ERR_DEVICE_CONFIG', `the device says ${name} 0 (virtio 1.4 §5.2.4)`, {
      hint: 'the device has to give a limit, or not to offer SECURE_ERASE',
    });
  };
  const sectors = read(names.sectors, 'max_secure_erase_sectors');
  const segments = read(names.segments, 'max_secure_erase_seg');
  return limitsOf(sectors, segments, read(names.alignment, 'secure_erase_sector_alignment'), blockSize);
}

function limitsOf(sectors: number, segments: number, alignment: number, blockSize: number): RangeLimits {
  const block = blockSize / SECTOR_SIZE;
  if (sectors < block) {
    const problem = `the device takes ${sectors} sectors in a request, less than its blocks of ${blockSize} bytes`;
    throw new DeviceError('ERR_DEVICE_CONFIG', `${problem} (virtio 1.4 §5.2.4)`, {
      hint: 'the device has to take one block in a discard, write zeroes or secure erase, or not to offer it',
    });
  }
  // A boundary inside of a block is not one at which a request can be cut.
  const usable = alignment > 0 && alignment % block === 0 ? alignment : block;
  const granule = usable <= sectors ? usable : block;
  return {
    maxSectors: sectors - (sectors % granule),
    maxSegments: Math.min(segments, MOST_SEGMENTS),
    alignment: usable,
  };
}

/**
 * The sectors of the next piece of a range: all that is left where it fits, else as many as fit, up to the last
 * boundary of the alignment (Linux: `bio_split_discard`). `room` is at least one block. Hot.
 */
export function cutRange(sector: number, left: number, room: number, alignment: number): number {
  if (left <= room) return left;
  const aligned = room - ((sector + room) % alignment);
  return aligned > 0 ? aligned : room;
}
