/**
 * The block device: driver half, device half, and the workloads over it (specification 1.4 section 5.2).
 *
 * @packageDocumentation
 */
import {
  defineDeviceType,
  defineWorkload,
  PLUGIN_API_VERSION,
  type DeviceTypePlugin,
  type WorkloadProblem,
  type WorkloadType,
} from '@virtio-platform/core';
import { checkImage, FileBacking, SparseBacking } from '@virtio-platform/device-kit';
import { byteSize } from '@virtio-platform/options';
import { z } from 'zod';
import { BLOCK_CONFIG, readBlockConfig } from './block-config.ts';
import { BlockDevice } from './block-device.ts';
import { BlockDisk } from './block-disk.ts';
import { BLOCK_DRIVER_FEATURES } from './block-driver.ts';
import { BLOCK_FEATURES } from './block-features.ts';
import { BLOCK_SETTINGS, type BlockSettings } from './block-settings.ts';
import { SECTOR_SIZE } from './layout.ts';
import { BLOCK_CASES } from './conform/block-cases.ts';
import { qemuBlock } from './qemu-block.ts';
import { MixedWork } from './workloads/mixed-work.ts';
import { mixedOptions, mixedProblem, READS_ONLY, type MixedOptions } from './workloads/mixed-options.ts';
import type { BlockWorkOptions } from './workloads/block-requests.ts';
import { WriteReadVerify } from './workloads/write-read-verify.ts';
import { checkBlockRequest } from './check-block-request.ts';

export {
  checkImage,
  FileBacking,
  openImage,
  SparseBacking,
  type BlockBacking,
  type ImageOptions,
} from '@virtio-platform/device-kit';
export * from './block-config.ts';
export * from './block-device.ts';
export * from './block-disk.ts';
export * from './block-driver.ts';
export { BlockSlots, isRanges, type BlockDriverOptions } from './slots/block-slots.ts';
export * from './block-features.ts';
export * from './block-options.ts';
export type { RangeLimits } from './block-limits.ts';
export { BLOCK_SETTINGS, type BlockSettings, type BlockSettingsInput } from './block-settings.ts';
export * from './layout.ts';
export { NO_STATUS } from './slots/piece-buffers.ts';
export { MixedWork } from './workloads/mixed-work.ts';
export { MIXED_CONDITIONS, type MixedCondition, type MixedOptions } from './workloads/mixed-options.ts';
export type { BlockWorkContext, BlockWorkOptions } from './workloads/block-requests.ts';
export { WriteReadVerify } from './workloads/write-read-verify.ts';

/** Entries of a queue at most where the profile says no other number: as of QEMU's disk. */
const QUEUE_SIZE = 1024;

/** What is wrong with requests of `blockSize` bytes on this disk. */
function blockSizeProblem(
  { capacity, blockSize: block = SECTOR_SIZE, resizes = [] }: BlockSettings,
  { blockSize: size }: BlockWorkOptions,
): WorkloadProblem | undefined {
  const key = 'blockSize';
  if (size % SECTOR_SIZE !== 0) return { key, message: `must be a multiple of ${SECTOR_SIZE}B for a block device` };
  if (size % block !== 0) return { key, message: `must be a multiple of device.blockSize, ${block} bytes` };
  if (size > capacity)
    return { key, message: `a request of ${size} bytes does not fit device.capacity, ${capacity} bytes` };
  const small = resizes.find((resize) => resize.capacity < size);
  if (small === undefined) return undefined;
  return { key, message: `a request of ${size} bytes does not fit device.resizes, ${small.capacity} bytes` };
}

const blockSize = byteSize().describe('Bytes of each request, a multiple of 512: 4KiB.');
const bytes = ({ blockSize: size }: BlockWorkOptions): number => size;

const writeReadVerify: WorkloadType<BlockSettings, BlockDisk, BlockWorkOptions> = defineWorkload({
  summary: 'write a pattern, read it back, compare',
  options: z.strictObject({ blockSize }),
  bytes,
  problem: blockSizeProblem,
  recovers: true,
  open: (disk: BlockDisk, context) => new WriteReadVerify(disk, context),
});

const read: WorkloadType<BlockSettings, BlockDisk, BlockWorkOptions> = defineWorkload({
  summary: 'read at random, and compare with what earlier reads gave; writes nothing',
  options: z.strictObject({ blockSize }),
  bytes,
  problem: blockSizeProblem,
  recovers: true,
  open: (disk: BlockDisk, context) =>
    new MixedWork(disk, { ...context, options: { ...context.options, ...READS_ONLY } }),
});

const mixed: WorkloadType<BlockSettings, BlockDisk, MixedOptions> = defineWorkload<
  BlockSettings,
  BlockDisk,
  MixedOptions
>({
  summary: 'all requests that the disk has at random, against a model of it',
  options: mixedOptions(blockSize),
  bytes,
  problem: (settings, options) => blockSizeProblem(settings, options) ?? mixedProblem(settings, options),
  recovers: true,
  open: (disk: BlockDisk, context) => new MixedWork(disk, context),
});

const plugin: DeviceTypePlugin<BlockSettings, BlockDisk> = defineDeviceType({
  kind: 'device',
  name: 'block',
  apiVersion: PLUGIN_API_VERSION,
  id: 2,
  features: BLOCK_FEATURES,
  options: BLOCK_SETTINGS,
  paths: ['image'],
  config: BLOCK_CONFIG,
  driver: {
    features: BLOCK_DRIVER_FEATURES,
    usedLength: { legacy: 'ignore' },
    queues: (device) => Array.from({ length: readBlockConfig(device).queues }, (_, index) => index),
    open: (context) => new BlockDisk(context),
  },
  workloads: { 'write-read-verify': writeReadVerify, read, mixed },
  model(settings, byteOrder) {
    const { capacity, image, readOnly, overwrite, queueSize = QUEUE_SIZE } = settings;
    const backing =
      image === undefined ? new SparseBacking(capacity) : new FileBacking(image, capacity, readOnly, overwrite);
    return new BlockDevice(backing, { ...settings, queueSize, byteOrder });
  },
  check(settings) {
    if (settings.image !== undefined) checkImage(settings.image, settings);
  },
  image: ({ image, capacity }) => ({ path: image, capacity }),
  qemu: qemuBlock,
  vhostUser: { queues: 1, counted: 1, config: 'required', drains: true },
  cases: BLOCK_CASES,
  checkRequest: checkBlockRequest,
});

export default plugin;
