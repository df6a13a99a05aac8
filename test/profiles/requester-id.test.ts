import { describe, expect, it } from 'vitest';
import { pluginError } from './plugin-error.ts';

const QEMU = '@virtio-platform/machine-qemu';

const BEHIND_AN_IOMMU: readonly (readonly [string, object, RegExp])[] = [
  ['amd-iommu', {}, /entry of its requester id in the device table/],
  ['intel-iommu', {}, /context entry of its requester id/],
  ['smmuv3', {}, /stream table entry of a device by its requester id/],
  ['virtio-iommu', {}, /endpoint that is its requester id/],
  ['pseries', {}, /PCI host bridge/],
  ['vfio', { container: 'type1' }, /confines a device by an IOMMU/],
];

describe('a platform that finds its device by a requester id', () => {
  it.each(BEHIND_AN_IOMMU)('%s is refused on MMIO and channel I/O, with why', async (name, options, why) => {
    const platform = { use: `@virtio-platform/platform-${name}`, ...options };
    for (const transport of ['mmio', 'channel-io'] as const) {
      expect(await pluginError(platform, { transport })).toMatchObject({
        code: 'ERR_PLUGIN_TRANSPORT',
        message: expect.stringMatching(new RegExp(`${why.source}.*, and a device on ${transport} has none`)),
        location: expect.objectContaining({ line: expect.any(Number) }),
      });
    }
    expect(await pluginError(platform, { transport: 'pci' })).toBeUndefined();
  });

  it.each(['microvm', 'virt'])('is refused on %s of QEMU, and not on its q35', async (board) => {
    const platform = { use: '@virtio-platform/platform-intel-iommu' };
    expect(await pluginError(platform, { use: QEMU, board })).toMatchObject({ code: 'ERR_PLUGIN_TRANSPORT' });
    expect(await pluginError(platform, { use: QEMU, board: 'q35', iommu: 'intel' })).toBeUndefined();
  });

  it('is refused in a slot of virt of QEMU, and not on its PCI', async () => {
    const platform = { use: '@virtio-platform/platform-smmuv3' };
    expect(await pluginError(platform, { use: QEMU, board: 'virt' })).toMatchObject({ code: 'ERR_PLUGIN_TRANSPORT' });
    expect(await pluginError(platform, { use: QEMU, board: 'virt', iommu: 'smmuv3' })).toBeUndefined();
  });

  it.each([
    ['legacy', {}],
    ['sev', {}],
    // Nothing confines the device.
    ['vfio', { container: 'noiommu', unsafeNoiommuMode: true, capSysRawio: true }],
  ])('is not %s', async (name, options) => {
    const platform = { use: `@virtio-platform/platform-${name}`, ...options };
    for (const transport of ['mmio', 'channel-io']) expect(await pluginError(platform, { transport })).toBeUndefined();
  });
});
