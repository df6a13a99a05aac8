/**
 * The SCSI host: driver half, device half with disks, and the workloads over it (specification 1.4 section 5.6).
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
import { checkImage, FileBacking, SparseBacking, type BlockBacking } from '@virtio-platform/device-kit';
import { byteSize } from '@virtio-platform/options';
import { z } from 'zod';
import { SCSI_CASES } from './conform/scsi-cases.ts';
import { DiskUnit } from './device/disk-unit.ts';
import { ScsiDevice } from './device/scsi-device.ts';
import { SCSI_DRIVER_FEATURES, ScsiDriver, scsiQueues } from './driver/scsi-driver.ts';
import { qemuScsi } from './qemu-scsi.ts';
import { readScsiConfig, SCSI_CONFIG } from './scsi-config.ts';
import { SCSI_FEATURES } from './scsi-features.ts';
import { SCSI_SETTINGS, type ScsiDiskSettings, type ScsiSettings } from './scsi-settings.ts';
import { MixedWork, type MixedOptions } from './workloads/mixed-work.ts';
import type { ScsiWorkOptions } from './workloads/unit-models.ts';
import { WriteReadVerify } from './workloads/write-read-verify.ts';
import { checkScsiRequest } from './check-scsi-request.ts';

export { DiskUnit } from './device/disk-unit.ts';
export { ScsiDevice, type ScsiDeviceOptions } from './device/scsi-device.ts';
export { FLAW_RESIDUAL, FLAW_SENSE_LENGTH, FLAW_USED_LENGTH, NO_RESPONSE } from './driver/command-lane.ts';
export type { ScsiEvent } from './driver/event-lane.ts';
export * from './driver/scsi-driver.ts';
export * from './layout.ts';
export { qemuDisk } from './qemu-scsi.ts';
export * from './scsi-commands.ts';
export * from './scsi-config.ts';
export * from './scsi-features.ts';
export * from './scsi-lun.ts';
export * from './scsi-sense.ts';
export * from './scsi-settings.ts';
export { MixedWork, type MixedOptions } from './workloads/mixed-work.ts';
export type { ScsiWorkContext } from './workloads/scsi-requests.ts';
export type { ScsiWorkOptions } from './workloads/unit-models.ts';
export { WriteReadVerify } from './workloads/write-read-verify.ts';

/** Queue size that the device half supports at most: that of libvhost-user, which front-ends of `serve` count on. */
const MAX_QUEUE_SIZE = 1024;

/** What is wrong with requests of `blockSize` bytes on these disks. */
function blockSizeProblem({ disks }: ScsiSettings, { blockSize }: ScsiWorkOptions): WorkloadProblem | undefined {
  const key = 'blockSize';
  for (const { capacity, blockSize: block, target, lun } of disks) {
    const disk = `the disk of target ${target}, unit ${lun}`;
    if (blockSize === 0 || blockSize % block !== 0)
      return { key, message: `must be a multiple of ${block}B, the blocks of ${disk}` };
    if (blockSize > capacity)
      return { key, message: `a request of ${blockSize} bytes does not fit ${disk}, ${capacity} bytes` };
  }
  return undefined;
}

const blockSize = byteSize().describe('Bytes of each request, a multiple of the blocks of each disk: 4KiB.');
const bytes = ({ blockSize: size }: ScsiWorkOptions): number => size;
const share = z.number().min(0).max(1);

const writeReadVerify: WorkloadType<ScsiSettings, ScsiDriver, ScsiWorkOptions> = defineWorkload({
  summary: 'write a pattern to all disks, read it back, compare',
  options: z.strictObject({ blockSize }),
  bytes,
  problem(settings: ScsiSettings, options: ScsiWorkOptions) {
    const needed = settings.changes.length > 0 || settings.disks.some(({ plugged }) => !plugged);
    if (!needed) return blockSizeProblem(settings, options);
    return { key: 'kind', message: 'write-read-verify needs disks that stay as they are: use mixed' };
  },
  recovers: true,
  open: (driver: ScsiDriver, context) => new WriteReadVerify(driver, context),
});

const mixed: WorkloadType<ScsiSettings, ScsiDriver, MixedOptions> = defineWorkload<
  ScsiSettings,
  ScsiDriver,
  MixedOptions
>({
  summary: 'commands of all kinds, task management and events, at random against a model of each disk',
  options: z.strictObject({
    blockSize,
    reads: share.default(0.45).describe('The part of the transfers that read, 0 to 1; without it 0.45.'),
    unmaps: share
      .default(0.1)
      .describe('The part of the transfers that unmaps, or fills with one block, 0 to 1; without it 0.1.'),
    queries: share
      .default(0.1)
      .describe('The part of the requests that asks: inquiry, capacity, units, what is refused; without it 0.1.'),
    tasks: share.default(0.02).describe('The part of the requests that is task management; without it 0.02.'),
  }),
  bytes,
  problem: blockSizeProblem,
  recovers: true,
  open: (driver: ScsiDriver, context) => new MixedWork(driver, context),
});

/** Where the bytes of a disk are. */
function openBacking({ image, capacity, readOnly, overwrite }: ScsiDiskSettings): BlockBacking {
  return image === undefined ? new SparseBacking(capacity) : new FileBacking(image, capacity, readOnly, overwrite);
}

/** The disks of the settings; where one cannot be opened, none stays open. */
function openUnits({ disks }: ScsiSettings): DiskUnit[] {
  const units: DiskUnit[] = [];
  try {
    for (const disk of disks) units.push(new DiskUnit(disk, openBacking(disk)));
    return units;
  } catch (error) {
    for (const { backing } of units) backing.dispose();
    throw error;
  }
}

const plugin: DeviceTypePlugin<ScsiSettings, ScsiDriver> = defineDeviceType({
  kind: 'device',
  name: 'scsi',
  apiVersion: PLUGIN_API_VERSION,
  id: 8,
  features: SCSI_FEATURES,
  options: SCSI_SETTINGS,
  paths: ['disks.image'],
  config: SCSI_CONFIG,
  driver: {
    features: SCSI_DRIVER_FEATURES,
    usedLength: { legacy: 'ignore' },
    queues: (device) => scsiQueues(readScsiConfig(device)),
    open: (context) => new ScsiDriver(context),
  },
  workloads: { 'write-read-verify': writeReadVerify, mixed },
  model(settings, byteOrder) {
    const { queues, changes, slow } = settings;
    return new ScsiDevice(openUnits(settings), { queues, queueSize: MAX_QUEUE_SIZE, changes, slow, byteOrder });
  },
  check({ disks }) {
    for (const disk of disks) if (disk.image !== undefined) checkImage(disk.image, disk);
  },
  qemu: qemuScsi,
  cases: SCSI_CASES,
  checkRequest: checkScsiRequest,
});

export default plugin;
