import { CodedError } from '@virtio-platform/core';
import type { BlockSettings } from './block-settings.ts';
import { SECTOR_SIZE } from './layout.ts';

/**
 * The properties of `virtio-blk-pci` for these settings, as of QEMU 7.2. Throws {@link CodedError}
 * `ERR_MACHINE_DEVICE` for a setting that the device does not have.
 */
export function qemuBlockProperties(settings: BlockSettings): Readonly<Record<string, unknown>> {
  const { serial, queues, blockSize = SECTOR_SIZE, topology = {}, geometry, discard, writeZeroes } = settings;
  for (const [setting, why] of impossible(settings)) {
    throw new CodedError('ERR_MACHINE_DEVICE', `the disk of QEMU does not have device.${setting}: ${why}`, {
      hint: `leave device.${setting} out, or use the embedded machine`,
    });
  }
  const discards = typeof discard === 'object' ? discard : {};
  const zeroes = typeof writeZeroes === 'object' ? writeZeroes : {};
  const given = {
    'num-queues': queues,
    'queue-size': settings.queueSize,
    serial: serial === '' ? undefined : serial,
    logical_block_size: blockSize === SECTOR_SIZE ? undefined : blockSize,
    // QEMU wants the physical size to be given with larger logical blocks.
    physical_block_size: topology.physicalBlockSize ?? (blockSize === SECTOR_SIZE ? undefined : blockSize),
    min_io_size: topology.minIoSize,
    opt_io_size: topology.optIoSize,
    cyls: geometry?.cylinders,
    heads: geometry?.heads,
    secs: geometry?.sectors,
    'write-cache': settings.writeback === false ? 'off' : undefined,
    discard: discard === false ? false : undefined,
    'max-discard-sectors': discards.maxSectors,
    discard_granularity: discards.alignment === undefined ? undefined : discards.alignment * SECTOR_SIZE,
    'write-zeroes': writeZeroes === false ? false : undefined,
    'max-write-zeroes-sectors': zeroes.maxSectors,
    // An error of the image is the request's, as on the embedded machine; else QEMU stops its machine on a full disk.
    werror: 'report',
    rerror: 'report',
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

/** VIRTQUEUE_MAX_SIZE of QEMU. */
const MOST_QUEUE_SIZE = 1024;

/** The settings that QEMU's device does not have, each with what is missing. */
function* impossible(settings: BlockSettings): Generator<readonly [string, string]> {
  const { queueSize = 0, sizeMax, segMax, secureErase, lifetime, topology, discard, writeZeroes } = settings;
  if (queueSize > MOST_QUEUE_SIZE) yield ['queueSize', `its queues have at most ${MOST_QUEUE_SIZE} entries`];
  if (sizeMax !== undefined) yield ['sizeMax', 'it offers no SIZE_MAX'];
  if (segMax !== undefined) yield ['segMax', 'its seg_max is the size of the queue less 2'];
  if (secureErase !== undefined && secureErase !== false) yield ['secureErase', 'it offers no SECURE_ERASE'];
  if (lifetime !== undefined) yield ['lifetime', 'it offers no LIFETIME'];
  if ((topology?.alignmentOffset ?? 0) > 0) yield ['topology.alignmentOffset', 'its alignment_offset is 0'];
  const oneRange = 'it takes one range in a request';
  if (typeof discard === 'object' && (discard.maxSegments ?? 1) > 1) yield ['discard.maxSegments', oneRange];
  if (typeof writeZeroes !== 'object') return;
  if ((writeZeroes.maxSegments ?? 1) > 1) yield ['writeZeroes.maxSegments', oneRange];
  if (writeZeroes.mayUnmap === false) yield ['writeZeroes.mayUnmap', 'its image may be unmapped'];
}
