import type { QemuDevice } from '@virtio-platform/core';
import type { BlockSettings } from './block-settings.ts';
import { qemuBlockProperties } from './qemu-block-properties.ts';

/** How QEMU makes a block device: `virtio-blk-pci` over a raw image, or `vhost-user-blk-pci` over a back-end's disk. */
export const qemuBlock: QemuDevice<BlockSettings> = {
  arguments(settings, resources) {
    const { image, capacity, readOnly, queues } = settings;
    const { backEnd } = resources;
    // What the disk is like is the back-end's business.
    if (backEnd !== undefined)
      return { device: { driver: 'vhost-user-blk-pci', chardev: backEnd, 'num-queues': queues } };
    // Discards and zeroes with UNMAP give back parts of the image.
    const common = { 'read-only': readOnly, discard: 'unmap' };
    const file = { driver: 'file', filename: resources.image(image, capacity), ...common };
    const disk = { driver: 'raw', 'node-name': 'disk', ...common, file };
    return {
      before: ['-blockdev', JSON.stringify(disk)],
      device: { driver: 'virtio-blk-pci', drive: 'disk', ...qemuBlockProperties(settings) },
    };
  },
};
