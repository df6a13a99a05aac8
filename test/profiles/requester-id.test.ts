import { checkPlugins, loadProfile, type ProfileObject } from '@virtio-platform/profile';
import { describe, expect, it } from 'vitest';

const QEMU = '@virtio-platform/machine-qemu';
const SIMULATED = '@virtio-platform/machine-simulated';

/** Loads a profile, and has its platform and its machine checked against each other, as `check` does. */
async function check(platform: object, machine: object): Promise<unknown> {
  const profile: ProfileObject = {
    profile: 'requester-id',
    platform: { use: '@virtio-platform/platform-legacy', ...platform },
    machine: { use: SIMULATED, memory: '256MiB', ...machine },
    device: { type: 'entropy' },
    workload: { kind: 'read', requests: 1, depth: 1, blockSize: '64B' },
  };
  try {
    await checkPlugins(await loadProfile(profile));
    return undefined;
  } catch (error) {
    return error;
  }
}

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
      expect(await check(platform, { transport })).toMatchObject({
        code: 'ERR_PLUGIN_TRANSPORT',
        message: expect.stringMatching(new RegExp(`${why.source}.*, and a device on ${transport} has none`)),
        location: expect.objectContaining({ line: expect.any(Number) }),
      });
    }
    expect(await check(platform, { transport: 'pci' })).toBeUndefined();
  });

  it.each(['microvm', 'virt'])('is refused on %s of QEMU, and not on its q35', async (board) => {
    const platform = { use: '@virtio-platform/platform-intel-iommu' };
    expect(await check(platform, { use: QEMU, board })).toMatchObject({ code: 'ERR_PLUGIN_TRANSPORT' });
    expect(await check(platform, { use: QEMU, board: 'q35', iommu: 'intel' })).toBeUndefined();
  });

  it('is refused in a slot of virt of QEMU, and not on its PCI', async () => {
    const platform = { use: '@virtio-platform/platform-smmuv3' };
    expect(await check(platform, { use: QEMU, board: 'virt' })).toMatchObject({ code: 'ERR_PLUGIN_TRANSPORT' });
    expect(await check(platform, { use: QEMU, board: 'virt', iommu: 'smmuv3' })).toBeUndefined();
  });

  it.each([
    ['legacy', {}],
    ['sev', {}],
    // Nothing confines the device.
    ['vfio', { container: 'noiommu', unsafeNoiommuMode: true, capSysRawio: true }],
  ])('is not %s', async (name, options) => {
    const platform = { use: `@virtio-platform/platform-${name}`, ...options };
    for (const transport of ['mmio', 'channel-io']) expect(await check(platform, { transport })).toBeUndefined();
  });
});
