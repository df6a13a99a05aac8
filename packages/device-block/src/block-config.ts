import { DeviceError, type ConfigTable, type NegotiatedDevice } from '@virtio-platform/core';
import {
  VIRTIO_BLK_F_BLK_SIZE,
  VIRTIO_BLK_F_CONFIG_WCE,
  VIRTIO_BLK_F_DISCARD,
  VIRTIO_BLK_F_GEOMETRY,
  VIRTIO_BLK_F_MQ,
  VIRTIO_BLK_F_RO,
  VIRTIO_BLK_F_SECURE_ERASE,
  VIRTIO_BLK_F_SEG_MAX,
  VIRTIO_BLK_F_SIZE_MAX,
  VIRTIO_BLK_F_TOPOLOGY,
  VIRTIO_BLK_F_WRITE_ZEROES,
} from './block-features.ts';
import { ConfigFields } from '@virtio-platform/device-kit';
import { BLOCK_MAX_QUEUES, SECTOR_SIZE } from './layout.ts';

/** The names of the fields of the configuration space. */
export type BlockField =
  | 'capacity'
  | 'size_max'
  | 'seg_max'
  | 'geometry'
  | 'blk_size'
  | 'topology'
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
  size_max: { offset: 8, width: 4, feature: VIRTIO_BLK_F_SIZE_MAX },
  seg_max: { offset: 12, width: 4, feature: VIRTIO_BLK_F_SEG_MAX },
  geometry: { offset: 16, width: 4, feature: VIRTIO_BLK_F_GEOMETRY },
  blk_size: { offset: 20, width: 4, feature: VIRTIO_BLK_F_BLK_SIZE },
  topology: { offset: 24, width: 8, feature: VIRTIO_BLK_F_TOPOLOGY },
  writeback: { offset: 32, width: 1, feature: VIRTIO_BLK_F_CONFIG_WCE, isWritable: true },
  num_queues: { offset: 34, width: 2, feature: VIRTIO_BLK_F_MQ },
  max_discard_sectors: { offset: 36, width: 4, feature: VIRTIO_BLK_F_DISCARD },
  max_discard_seg: { offset: 40, width: 4, feature: VIRTIO_BLK_F_DISCARD },
  discard_sector_alignment: { offset: 44, width: 4, feature: VIRTIO_BLK_F_DISCARD },
  max_write_zeroes_sectors: { offset: 48, width: 4, feature: VIRTIO_BLK_F_WRITE_ZEROES },
  max_write_zeroes_seg: { offset: 52, width: 4, feature: VIRTIO_BLK_F_WRITE_ZEROES },
  write_zeroes_may_unmap: { offset: 56, width: 1, feature: VIRTIO_BLK_F_WRITE_ZEROES },
  max_secure_erase_sectors: { offset: 60, width: 4, feature: VIRTIO_BLK_F_SECURE_ERASE },
  max_secure_erase_seg: { offset: 64, width: 4, feature: VIRTIO_BLK_F_SECURE_ERASE },
  secure_erase_sector_alignment: { offset: 68, width: 4, feature: VIRTIO_BLK_F_SECURE_ERASE },
};

/** What a block driver has to know of its device; fields without their feature have defaults. */
export interface BlockConfig {
  /** Bytes. */
  readonly capacity: number;
  readonly readOnly: boolean;
  /** Bytes of a block: a power of two of at least 512. Requests are whole blocks. */
  readonly blockSize: number;
  /** Longest segment in bytes. */
  readonly sizeMax: number;
  /** Most data segments of one request. */
  readonly segMax: number;
  /** Request queues that the driver uses: no more than the device has, whatever it says. */
  readonly queues: number;
}

/**
 * Reads the configuration of a block device and checks it (specification 1.4 section 5.2.4). As in
 * Linux, a size_max or seg_max of 0 says nothing. Throws {@link DeviceError} `ERR_DEVICE_CONFIG` for a blk_size that no
 * disk has, and for a field that the device should have and has not.
 */
export function readBlockConfig(device: NegotiatedDevice): BlockConfig {
  const { transport, accepted } = device;
  const fields = new ConfigFields(device);
  const sectors = fields.bigint(BLOCK_CONFIG.capacity, 0n);
  const limit = BigInt(Math.floor(Number.MAX_SAFE_INTEGER / SECTOR_SIZE));
  const sizeMax = fields.number(BLOCK_CONFIG.size_max, 0);
  const segMax = fields.number(BLOCK_CONFIG.seg_max, 1);
  const blockSize = fields.number(BLOCK_CONFIG.blk_size, SECTOR_SIZE);
  if (blockSize < SECTOR_SIZE || (blockSize & (blockSize - 1)) !== 0) {
    const problem = `the device says blk_size ${blockSize}, which is no power of two of at least ${SECTOR_SIZE} bytes`;
    throw new DeviceError('ERR_DEVICE_CONFIG', `${problem} (virtio 1.4 §5.2.4)`, {
      hint: 'the device has to give a size that a disk can have, or not to offer BLK_SIZE',
    });
  }
  const queues = fields.number(BLOCK_CONFIG.num_queues, 1);
  return {
    capacity: Number(sectors < limit ? sectors : limit) * SECTOR_SIZE,
    readOnly: accepted.has(VIRTIO_BLK_F_RO),
    blockSize,
    sizeMax: sizeMax > 0 ? sizeMax : 0xffff_ffff,
    segMax: Math.max(1, segMax),
    queues: Math.max(1, Math.min(queues, transport.queueCount, BLOCK_MAX_QUEUES)),
  };
}
