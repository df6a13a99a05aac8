import { CodedError, type QemuDevice } from '@virtio-platform/core';
import type { ScsiDiskSettings, ScsiSettings } from './scsi-settings.ts';

/**
 * How QEMU makes a SCSI host: `virtio-scsi-pci` with a `scsi-hd` for each disk that is plugged in, whose identifier is
 * `disk-TARGET-UNIT`. The image of a disk that is not has the node that a monitor can plug in. Refuses with
 * `ERR_MACHINE_DEVICE` what QEMU's device does not do by itself.
 */
export const qemuScsi: QemuDevice<ScsiSettings> = {
  arguments({ disks, queues, changes, slow }, resources) {
    if (changes.length > 0 || slow !== undefined) {
      const setting = slow === undefined ? 'device.changes' : 'device.slow';
      throw new CodedError('ERR_MACHINE_DEVICE', `QEMU's disks do not have ${setting}`, {
        hint: 'leave it out, or use @virtio-platform/machine-simulated; a monitor of QEMU can unplug and plug disks',
      });
    }
    const nodes = disks.flatMap((disk) => ['-blockdev', JSON.stringify(blockNode(disk, resources.image))]);
    const plugged = disks.filter((disk) => disk.plugged);
    const drives = plugged.flatMap((disk) => ['-device', JSON.stringify(qemuDisk(disk))]);
    return {
      before: nodes,
      device: { driver: 'virtio-scsi-pci', id: 'scsi', num_queues: queues },
      after: drives,
    };
  },
};

/** QEMU's arguments for the device of a disk, as `-device` and the monitor's `device_add` take them. */
export function qemuDisk({ target, lun, blockSize, serial }: ScsiDiskSettings): Readonly<Record<string, unknown>> {
  return {
    driver: 'scsi-hd',
    id: `disk-${target}-${lun}`,
    bus: 'scsi.0',
    'scsi-id': target,
    lun,
    drive: nodeName(target, lun),
    logical_block_size: blockSize,
    physical_block_size: blockSize,
    ...(serial === '' ? {} : { serial }),
  };
}

function blockNode(
  { target, lun, image, capacity, readOnly }: ScsiDiskSettings,
  place: (path: string | undefined, capacity: number) => string,
): Readonly<Record<string, unknown>> {
  const file = { driver: 'file', filename: place(image, capacity), 'read-only': readOnly };
  return { driver: 'raw', 'node-name': nodeName(target, lun), 'read-only': readOnly, file };
}

function nodeName(target: number, lun: number): string {
  return `image-${target}-${lun}`;
}
