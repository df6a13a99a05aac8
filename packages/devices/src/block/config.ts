import { readDeviceConfig, type Transport } from '@virtio-platform/core/device';
import {
  VIRTIO_BLK_F_BLK_SIZE,
  VIRTIO_BLK_F_MQ,
  VIRTIO_BLK_F_RO,
  VIRTIO_BLK_F_SEG_MAX,
  VIRTIO_BLK_F_SIZE_MAX,
  type FeatureSet,
} from '@virtio-platform/core/features';
import type { ByteOrder } from '@virtio-platform/core/queue';
import { BLOCK_CONFIG, BLOCK_MAX_QUEUES, SECTOR_SIZE } from './layout.ts';

/** What a block driver has to know of its device; fields without their feature have defaults. */
export interface BlockConfig {
  /** Bytes. */
  readonly capacity: number;
  readonly readOnly: boolean;
  readonly blockSize: number;
  /** Longest segment in bytes. */
  readonly sizeMax: number;
  /** Most data segments of one request. */
  readonly segMax: number;
  /** Request queues that the driver uses: no more than the device has, whatever it says. */
  readonly queues: number;
}

/** Reads the configuration of a block device and believes none of it unchecked. Specification 1.4 section 5.2.4. */
export function readBlockConfig(transport: Transport, accepted: FeatureSet, byteOrder: ByteOrder): BlockConfig {
  const littleEndian = byteOrder === 'little';
  const hasQueues = accepted.has(VIRTIO_BLK_F_MQ);
  const config = readDeviceConfig(transport, 0, hasQueues ? BLOCK_CONFIG.numQueues + 2 : BLOCK_CONFIG.blkSize + 4);
  const sectors = config.getBigUint64(BLOCK_CONFIG.capacity, littleEndian);
  const limit = BigInt(Math.floor(Number.MAX_SAFE_INTEGER / SECTOR_SIZE));
  const sizeMax = accepted.has(VIRTIO_BLK_F_SIZE_MAX) ? config.getUint32(BLOCK_CONFIG.sizeMax, littleEndian) : 0;
  const segMax = accepted.has(VIRTIO_BLK_F_SEG_MAX) ? config.getUint32(BLOCK_CONFIG.segMax, littleEndian) : 1;
  const blockSize = accepted.has(VIRTIO_BLK_F_BLK_SIZE) ? config.getUint32(BLOCK_CONFIG.blkSize, littleEndian) : 0;
  const queues = hasQueues ? config.getUint16(BLOCK_CONFIG.numQueues, littleEndian) : 1;
  return {
    capacity: Number(sectors < limit ? sectors : limit) * SECTOR_SIZE,
    readOnly: accepted.has(VIRTIO_BLK_F_RO),
    blockSize: blockSize >= SECTOR_SIZE ? blockSize : SECTOR_SIZE,
    sizeMax: sizeMax > 0 ? sizeMax : 0xffff_ffff,
    segMax: Math.max(1, segMax),
    queues: Math.max(1, Math.min(queues, transport.queueCount, BLOCK_MAX_QUEUES)),
  };
}
