import { DeviceError } from '@virtio-platform/core';
import type { Transport } from '@virtio-platform/core/device';
import {
  VIRTIO_BLK_F_BLK_SIZE,
  VIRTIO_BLK_F_MQ,
  VIRTIO_BLK_F_RO,
  VIRTIO_BLK_F_SEG_MAX,
  VIRTIO_BLK_F_SIZE_MAX,
  type FeatureSet,
} from '@virtio-platform/core/features';
import type { ByteOrder } from '@virtio-platform/core/queue';
import { ConfigFields } from '../config-fields.ts';
import { BLOCK_CONFIG, BLOCK_MAX_QUEUES, SECTOR_SIZE } from './layout.ts';

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
 * Reads the configuration of a block device and believes none of it unchecked (specification 1.4 section 5.2.4). As in
 * Linux, a size_max or seg_max of 0 says nothing. Throws {@link DeviceError} `ERR_DEVICE_CONFIG` for a blk_size that no
 * disk has, and for a field that the device should have and has not.
 */
export function readBlockConfig(transport: Transport, accepted: FeatureSet, byteOrder: ByteOrder): BlockConfig {
  const fields = new ConfigFields(transport, accepted, byteOrder);
  const sectors = fields.u64(BLOCK_CONFIG.capacity);
  const limit = BigInt(Math.floor(Number.MAX_SAFE_INTEGER / SECTOR_SIZE));
  const sizeMax = fields.u32(BLOCK_CONFIG.sizeMax, VIRTIO_BLK_F_SIZE_MAX, 0);
  const segMax = fields.u32(BLOCK_CONFIG.segMax, VIRTIO_BLK_F_SEG_MAX, 1);
  const blockSize = fields.u32(BLOCK_CONFIG.blkSize, VIRTIO_BLK_F_BLK_SIZE, SECTOR_SIZE);
  if (blockSize < SECTOR_SIZE || (blockSize & (blockSize - 1)) !== 0) {
    const problem = `the device says blk_size ${blockSize}, which is no power of two of at least ${SECTOR_SIZE} bytes`;
    throw new DeviceError('ERR_DEVICE_CONFIG', `${problem} (virtio 1.4 §5.2.4)`, {
      hint: 'the device has to give a size that a disk can have, or not to offer BLK_SIZE',
    });
  }
  const queues = fields.u16(BLOCK_CONFIG.numQueues, VIRTIO_BLK_F_MQ, 1);
  return {
    capacity: Number(sectors < limit ? sectors : limit) * SECTOR_SIZE,
    readOnly: accepted.has(VIRTIO_BLK_F_RO),
    blockSize,
    sizeMax: sizeMax > 0 ? sizeMax : 0xffff_ffff,
    segMax: Math.max(1, segMax),
    queues: Math.max(1, Math.min(queues, transport.queueCount, BLOCK_MAX_QUEUES)),
  };
}
