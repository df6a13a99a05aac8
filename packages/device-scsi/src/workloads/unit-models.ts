import { DeviceError } from '@virtio-platform/core';
import type { ScsiDriver } from '../driver/scsi-driver.ts';
import { VIRTIO_SCSI_F_CHANGE, VIRTIO_SCSI_F_HOTPLUG } from '../scsi-features.ts';
import type { ScsiWorkContext } from './scsi-requests.ts';
import { UnitModel } from './unit-model.ts';

/** The option of workloads that move cells of one size. */
export interface ScsiWorkOptions {
  /** Bytes of a cell: a multiple of the blocks of each disk. */
  readonly blockSize: number;
}

/**
 * A model of each disk of the settings. A cell is as large as the options say, unless the device takes less in one
 * command. Throws {@link DeviceError} `ERR_DEVICE_BLOCK_SIZE` where it takes not one block of a disk.
 */
export function unitModels(driver: ScsiDriver, context: ScsiWorkContext<ScsiWorkOptions>): UnitModel[] {
  const { settings, options, seed, accepted } = context;
  const silent = new Set(
    settings.changes
      .filter(({ do: what }) => what !== 'reset')
      .filter(({ do: what }) => !accepted.has(what === 'resize' ? VIRTIO_SCSI_F_CHANGE : VIRTIO_SCSI_F_HOTPLUG))
      .map(({ target }) => target),
  );
  return settings.disks.map((disk) => {
    const most = Math.min(options.blockSize, driver.maxBytes);
    const cellSize = Math.floor(most / disk.blockSize) * disk.blockSize;
    const changes = settings.changes.filter(({ target, lun }) => target === disk.target && lun === disk.lun);
    const isResized = changes.some(({ do: what }) => what === 'resize');
    // A request may be answered before the event that tells of the change came.
    const comesAndGoes = changes.some(({ do: what }) => what === 'plug' || what === 'unplug');
    const isSilent = silent.has(disk.target);
    if (cellSize > 0) return new UnitModel(disk, { cellSize, seed, isSilent, isResized, comesAndGoes });
    const problem = `a command moves at most ${most} bytes, and the disk has blocks of ${disk.blockSize}`;
    throw new DeviceError('ERR_DEVICE_BLOCK_SIZE', problem, {
      hint: `make workload.blockSize a multiple of ${disk.blockSize} bytes, and seg_max and max_sectors no smaller`,
    });
  });
}
