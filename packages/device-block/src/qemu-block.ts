import type { QemuDevice } from '@virtio-platform/core';
import type { BlockSettings } from './block-settings.ts';

/** How QEMU makes a block device: `virtio-blk-pci` over a raw image. */
export const qemuBlock: QemuDevice<BlockSettings> = {
  arguments({ image, capacity, readOnly, serial, queues }, resources) {
    const file = { driver: 'file', filename: resources.image(image, capacity), 'read-only': readOnly };
    const disk = { driver: 'raw', 'node-name': 'disk', 'read-only': readOnly, file };
    const named = serial === '' ? {} : { serial };
    return {
      before: ['-blockdev', JSON.stringify(disk)],
      device: { driver: 'virtio-blk-pci', drive: 'disk', 'num-queues': queues, ...named },
    };
  },
};
