import { DeviceError } from '@virtio-platform/core';
import type { DmaMapping } from '@virtio-platform/core/dma';
import type { Virtqueue } from '@virtio-platform/core/queue';
import { checkQueueSize } from '@virtio-platform/device-kit';
import type { BlockConfig } from '../block-config.ts';

/** What one piece of a request may have. */
export interface PieceLimits {
  /** Bytes of the longest segment. */
  readonly segment: number;
  /** Bytes of data of the longest piece: whole blocks. */
  readonly bytes: number;
  /** Most ranges, at least 1. */
  readonly ranges: number;
}

/** Most ranges of a piece: their list is no longer than one sector, which every device takes in a request. */
const MOST_RANGES = 16;

/**
 * The pieces in which requests of up to `maxBytes` are made on this device, mapping and queue. Throws
 * {@link DeviceError}: `ERR_DEVICE_BLOCK_SIZE`, `ERR_DEVICE_CONFIG` where the device takes not even one block in a
 * request, `ERR_QUEUE_TOO_SMALL`.
 */
export function pieceLimits(config: BlockConfig, mapping: DmaMapping, queue: Virtqueue, maxBytes: number): PieceLimits {
  checkBlockSize(config, maxBytes);
  const segment = Math.min(maxBytes, config.sizeMax, mapping.limits.maxMappingSize);
  return { segment, bytes: longestPiece(config, segment, queue, maxBytes), ranges: mostRanges(config) };
}

function mostRanges({ discard, writeZeroes, secureErase }: BlockConfig): number {
  const most = [discard, writeZeroes, secureErase].map((limits) => limits?.maxSegments ?? 1);
  return Math.min(MOST_RANGES, Math.max(...most));
}

/** Throws {@link DeviceError} `ERR_DEVICE_BLOCK_SIZE` where requests are not whole blocks of the device. */
function checkBlockSize({ blockSize }: BlockConfig, maxBytes: number): void {
  if (maxBytes % blockSize === 0) return;
  const problem = `the device has blocks of ${blockSize} bytes (blk_size, virtio 1.4 §5.2.4), and the requests ${maxBytes}`;
  throw new DeviceError('ERR_DEVICE_BLOCK_SIZE', problem, {
    hint: `make workload.blockSize a multiple of ${blockSize} bytes, or give the device smaller blocks`,
  });
}

/** Whole blocks, in as many segments as device and queue take. */
function longestPiece(
  { blockSize, segMax, sizeMax }: BlockConfig,
  segment: number,
  queue: Virtqueue,
  most: number,
): number {
  const wholeBlocks = (segments: number): number => Math.floor((segment * segments) / blockSize) * blockSize;
  if (wholeBlocks(segMax) === 0) {
    const limits = `${segMax} segments (seg_max) of ${Math.min(segment, sizeMax)} bytes (size_max or the mapping's limit)`;
    throw new DeviceError(
      'ERR_DEVICE_CONFIG',
      `a request of at most ${limits} has not one block of ${blockSize} bytes (virtio 1.4 §5.2.4)`,
      { hint: 'the device has to take one block in a request, or not to offer SIZE_MAX and SEG_MAX' },
    );
  }
  // Header and status take an entry each.
  checkQueueSize(queue, Math.ceil(Math.min(blockSize, most) / segment) + 2);
  return Math.min(most, wholeBlocks(Math.min(segMax, queue.size - 2)));
}
