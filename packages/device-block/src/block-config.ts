import { DeviceError, type ConfigTable, type NegotiatedDevice } from '@virtio-platform/core';
import * as feature from './block-features.ts';
import { ConfigFields } from '@virtio-platform/device-kit';
import { readEraseLimits, readRangeLimits, type RangeFields, type RangeLimits } from './block-limits.ts';
import { BLOCK_MAX_QUEUES, SECTOR_SIZE } from './layout.ts';

/** The names of the fields of the configuration space. */
export type BlockField =
  | 'capacity'
  | 'size_max'
  | 'seg_max'
  | 'cylinders'
  | 'heads'
  | 'sectors'
  | 'blk_size'
  | 'physical_block_exp'
  | 'alignment_offset'
  | 'min_io_size'
  | 'opt_io_size'
  | 'writeback'
  | 'num_queues'
  | 'max_discard_sectors'
  | 'max_discard_seg'
  | 'discard_sector_alignment'
  | 'max_write_zeroes_sectors'
  | 'max_write_zeroes_seg'
  | 'write_zeroes_may_unmap'
  | 'max_secure_erase_sectors'
  | 'max_secure_erase_seg'
  | 'secure_erase_sector_alignment';

/** The fields of the configuration space. Specification 1.4 section 5.2.4. */
export const BLOCK_CONFIG: ConfigTable<BlockField> = {
  capacity: { offset: 0, width: 8 },
  size_max: { offset: 8, width: 4, feature: feature.VIRTIO_BLK_F_SIZE_MAX },
  seg_max: { offset: 12, width: 4, feature: feature.VIRTIO_BLK_F_SEG_MAX },
  cylinders: { offset: 16, width: 2, feature: feature.VIRTIO_BLK_F_GEOMETRY },
  heads: { offset: 18, width: 1, feature: feature.VIRTIO_BLK_F_GEOMETRY },
  sectors: { offset: 19, width: 1, feature: feature.VIRTIO_BLK_F_GEOMETRY },
  blk_size: { offset: 20, width: 4, feature: feature.VIRTIO_BLK_F_BLK_SIZE },
  physical_block_exp: { offset: 24, width: 1, feature: feature.VIRTIO_BLK_F_TOPOLOGY },
  alignment_offset: { offset: 25, width: 1, feature: feature.VIRTIO_BLK_F_TOPOLOGY },
  min_io_size: { offset: 26, width: 2, feature: feature.VIRTIO_BLK_F_TOPOLOGY },
  opt_io_size: { offset: 28, width: 4, feature: feature.VIRTIO_BLK_F_TOPOLOGY },
  writeback: { offset: 32, width: 1, feature: feature.VIRTIO_BLK_F_CONFIG_WCE, isWritable: true },
  num_queues: { offset: 34, width: 2, feature: feature.VIRTIO_BLK_F_MQ },
  max_discard_sectors: { offset: 36, width: 4, feature: feature.VIRTIO_BLK_F_DISCARD },
  max_discard_seg: { offset: 40, width: 4, feature: feature.VIRTIO_BLK_F_DISCARD },
  discard_sector_alignment: { offset: 44, width: 4, feature: feature.VIRTIO_BLK_F_DISCARD },
  max_write_zeroes_sectors: { offset: 48, width: 4, feature: feature.VIRTIO_BLK_F_WRITE_ZEROES },
  max_write_zeroes_seg: { offset: 52, width: 4, feature: feature.VIRTIO_BLK_F_WRITE_ZEROES },
  write_zeroes_may_unmap: { offset: 56, width: 1, feature: feature.VIRTIO_BLK_F_WRITE_ZEROES },
  max_secure_erase_sectors: { offset: 60, width: 4, feature: feature.VIRTIO_BLK_F_SECURE_ERASE },
  max_secure_erase_seg: { offset: 64, width: 4, feature: feature.VIRTIO_BLK_F_SECURE_ERASE },
  secure_erase_sector_alignment: { offset: 68, width: 4, feature: feature.VIRTIO_BLK_F_SECURE_ERASE },
};

/** Disk-style geometry, for boot loaders and partition tables. */
export interface BlockGeometry {
  readonly cylinders: number;
  readonly heads: number;
  readonly sectors: number;
}

/** How a disk likes its requests best, in bytes; it takes others too. */
export interface BlockTopology {
  /** What the disk writes at once: a power of two, at least {@link BlockConfig.blockSize}. */
  readonly physicalBlockSize: number;
  /** Where the first physical block begins. */
  readonly alignmentOffset: number;
  /** Suggested least and best length of a request; 0 where the device says nothing. */
  readonly minimumIo: number;
  readonly optimalIo: number;
}

/** What a block driver has to know of its device; fields without their feature have defaults. */
export interface BlockConfig {
  /** Bytes. */
  readonly capacity: number;
  /** Whether writes fail: the device offers RO, whether or not the driver accepted it (section 5.2.5). */
  readonly readOnly: boolean;
  /** Bytes of a block: a power of two, 512 to 64 KiB. Requests are whole blocks. */
  readonly blockSize: number;
  /** Longest segment in bytes. */
  readonly sizeMax: number;
  /** Most data segments of one request. */
  readonly segMax: number;
  /** Request queues that the driver uses: no more than the device has, whatever it says. */
  readonly queues: number;
  readonly geometry?: BlockGeometry | undefined;
  readonly topology?: BlockTopology | undefined;
  /** Whether the device has the flush command. */
  readonly canFlush: boolean;
  /**
   * Whether completed writes may be lost until a flush. Without CONFIG_WCE the driver assumes it where there is a
   * flush command, as Linux does.
   */
  readonly isWriteBack: boolean;
  /** Whether {@link isWriteBack} is the driver's to change. */
  readonly canSetWriteBack: boolean;
  /** Of discards, of writes of zeroes and of secure erases; `undefined` where the device has none. */
  readonly discard?: RangeLimits | undefined;
  readonly writeZeroes?: RangeLimits | undefined;
  readonly secureErase?: RangeLimits | undefined;
  /** Whether a write of zeroes may deallocate. */
  readonly mayUnmap: boolean;
  readonly hasLifetime: boolean;
}

/** The largest blocks of Linux (BLK_MAX_BLOCK_SIZE, and its largest pages). */
const MOST_BLOCK_SIZE = 0x1_0000;
/** Largest physical block, as a power of two: Linux keeps its bytes in 32 bits. */
const MOST_PHYSICAL_EXPONENT = 31;

/**
 * Reads the configuration of a block device and checks it (specification 1.4 section 5.2.4). As in Linux, a size_max or
 * seg_max of 0 says nothing, nor does a limit of 0 of discards and writes of zeroes. Throws {@link DeviceError}
 * `ERR_DEVICE_CONFIG` for what Linux refuses or cannot use: a blk_size that no disk has, no queues, a limit of 0 of
 * secure erases, less than one block in a request, another writeback than 0 and 1, and a field that the device should
 * have and has not.
 */
export function readBlockConfig(device: NegotiatedDevice): BlockConfig {
  const { transport, accepted } = device;
  const fields = new ConfigFields(device);
  const sectors = fields.bigint(BLOCK_CONFIG.capacity, 0n);
  const limit = BigInt(Math.floor(Number.MAX_SAFE_INTEGER / SECTOR_SIZE));
  const sizeMax = fields.number(BLOCK_CONFIG.size_max, 0);
  const segMax = Math.max(1, fields.number(BLOCK_CONFIG.seg_max, 1));
  const blockSize = fields.number(BLOCK_CONFIG.blk_size, SECTOR_SIZE);
  if (blockSize < SECTOR_SIZE || blockSize > MOST_BLOCK_SIZE || (blockSize & (blockSize - 1)) !== 0) {
    const range = `no power of two from ${SECTOR_SIZE} to ${MOST_BLOCK_SIZE}`;
    refuse(`blk_size ${blockSize}, which is ${range}`, 'give a size that Linux can use', 'BLK_SIZE');
  }
  const queues = fields.number(BLOCK_CONFIG.num_queues, 1);
  if (queues === 0) refuse('num_queues 0', 'have at least one queue', 'MQ');
  const canFlush = accepted.has(feature.VIRTIO_BLK_F_FLUSH);
  const writeBack = fields.number(BLOCK_CONFIG.writeback, canFlush ? 1 : 0);
  if (writeBack > 1) refuse(`writeback ${writeBack}`, 'say 0 or 1', 'CONFIG_WCE');
  return {
    capacity: Number(sectors < limit ? sectors : limit) * SECTOR_SIZE,
    readOnly: accepted.has(feature.VIRTIO_BLK_F_RO) || transport.readDeviceFeatures().has(feature.VIRTIO_BLK_F_RO),
    blockSize,
    sizeMax: sizeMax > 0 ? sizeMax : 0xffff_ffff,
    segMax,
    queues: Math.min(queues, transport.queueCount, BLOCK_MAX_QUEUES),
    geometry: accepted.has(feature.VIRTIO_BLK_F_GEOMETRY) ? readGeometry(fields) : undefined,
    topology: accepted.has(feature.VIRTIO_BLK_F_TOPOLOGY) ? readTopology(fields, blockSize) : undefined,
    canFlush,
    isWriteBack: writeBack === 1,
    canSetWriteBack: accepted.has(feature.VIRTIO_BLK_F_CONFIG_WCE),
    discard: accepted.has(feature.VIRTIO_BLK_F_DISCARD)
      ? readRangeLimits(fields, DISCARD, blockSize, segMax)
      : undefined,
    writeZeroes: accepted.has(feature.VIRTIO_BLK_F_WRITE_ZEROES)
      ? readRangeLimits(fields, WRITE_ZEROES, blockSize, 1)
      : undefined,
    secureErase: accepted.has(feature.VIRTIO_BLK_F_SECURE_ERASE)
      ? readEraseLimits(fields, SECURE_ERASE, blockSize)
      : undefined,
    mayUnmap: fields.number(BLOCK_CONFIG.write_zeroes_may_unmap, 0) !== 0,
    hasLifetime: accepted.has(feature.VIRTIO_BLK_F_LIFETIME),
  };
}

const DISCARD: RangeFields = {
  sectors: BLOCK_CONFIG.max_discard_sectors,
  segments: BLOCK_CONFIG.max_discard_seg,
  alignment: BLOCK_CONFIG.discard_sector_alignment,
};
const WRITE_ZEROES: RangeFields = {
  sectors: BLOCK_CONFIG.max_write_zeroes_sectors,
  segments: BLOCK_CONFIG.max_write_zeroes_seg,
};
const SECURE_ERASE: Required<RangeFields> = {
  sectors: BLOCK_CONFIG.max_secure_erase_sectors,
  segments: BLOCK_CONFIG.max_secure_erase_seg,
  alignment: BLOCK_CONFIG.secure_erase_sector_alignment,
};

function readGeometry(fields: ConfigFields): BlockGeometry {
  return {
    cylinders: fields.number(BLOCK_CONFIG.cylinders, 0),
    heads: fields.number(BLOCK_CONFIG.heads, 0),
    sectors: fields.number(BLOCK_CONFIG.sectors, 0),
  };
}

/** The device says all of it in blocks, the physical size as a power of two. */
function readTopology(fields: ConfigFields, blockSize: number): BlockTopology {
  const exponent = fields.number(BLOCK_CONFIG.physical_block_exp, 0);
  if (Math.log2(blockSize) + exponent > MOST_PHYSICAL_EXPONENT)
    refuse(`physical_block_exp ${exponent}`, 'have physical blocks of at most 2 GiB', 'TOPOLOGY');
  const physicalBlockSize = blockSize * 2 ** exponent;
  return {
    physicalBlockSize,
    alignmentOffset: (fields.number(BLOCK_CONFIG.alignment_offset, 0) * blockSize) % physicalBlockSize,
    minimumIo: fields.number(BLOCK_CONFIG.min_io_size, 0) * blockSize,
    optimalIo: fields.number(BLOCK_CONFIG.opt_io_size, 0) * blockSize,
  };
}

function refuse(what: string, duty: string, feature: string): never {
  throw new DeviceError('ERR_DEVICE_CONFIG', `the device says ${what} (virtio 1.4 §5.2.4)`, {
    hint: `the device has to ${duty}, or not to offer ${feature}`,
  });
}
