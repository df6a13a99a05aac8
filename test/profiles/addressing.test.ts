import type { CodedError } from '@virtio-platform/core';
import { checkPlugins, loadProfile, type ProfileObject } from '@virtio-platform/profile';
import { failedReport } from '@virtio-platform/runner';
import { describe, expect, it } from 'vitest';

const QEMU = '@virtio-platform/machine-qemu';
const SIMULATED = '@virtio-platform/machine-simulated';

function profileOf(platform: object, device: object, machine: object): ProfileObject {
  return {
    profile: 'addressing',
    platform: { use: '@virtio-platform/platform-legacy', ...platform },
    machine: { use: SIMULATED, memory: '8GiB', ...machine },
    device: { type: 'entropy', ...device },
    workload: { kind: 'read', requests: 1, depth: 1, blockSize: '64B' },
  };
}

/** Loads a profile, and has its device, platform and machine checked against each other, as `check` does. */
async function check(platform: object, device: object, machine: object = {}): Promise<unknown> {
  try {
    await checkPlugins(await loadProfile(profileOf(platform, device, machine)));
    return undefined;
  } catch (error) {
    return error;
  }
}

function of(name: string, options: object = {}): object {
  return { use: `@virtio-platform/platform-${name}`, ...options };
}

const REFUSED: readonly (readonly [string, object, object, RegExp, RegExp])[] = [
  ['a pool', of('legacy', { pool: '16MiB' }), { dmaBits: 24 }, /pool of 16MiB/, /platform\.pool at most 7936KiB/],
  [
    'pass-through',
    of('intel-iommu', { domain: 'pass-through' }),
    { dmaBits: 32 },
    /beyond 2\^32/,
    /domain: translated/,
  ],
  ['identity', of('virtio-iommu', { domain: 'identity' }), { dmaBits: 32 }, /beyond 2\^32/, /domain: translated/],
  ['large pages', of('intel-iommu'), { minAlignMask: 0x1fff }, /low bits 0xfff/, /at most 0xfff/],
  ['mode 0', of('amd-iommu', { domain: 'pass-through' }), { dmaBits: 24 }, /beyond 2\^24/, /domain: translated/],
  ['tables one to one', of('amd-iommu', { domain: 'identity' }), { dmaBits: 32 }, /beyond 2\^32/, /domain: translated/],
  ['pages of AMD', of('amd-iommu'), { minAlignMask: 0x1fff }, /low bits 0xfff/, /at most 0xfff/],
  ['a bypass', of('smmuv3', { domain: 'pass-through' }), { dmaBits: 24 }, /beyond 2\^24/, /domain: translated/],
  ['stage 1 one to one', of('smmuv3', { domain: 'identity' }), { dmaBits: 32 }, /beyond 2\^32/, /domain: translated/],
  ['small pages of stage 1', of('smmuv3'), { minAlignMask: 0x1fff }, /low bits 0xfff/, /at most 0xfff/],
  [
    'large pages of stage 1',
    of('smmuv3', { granule: '16KiB' }),
    { minAlignMask: 0xffff },
    /low bits 0x3fff/,
    /at most 0x3fff/,
  ],
  [
    'a 64-bit window',
    of('pseries', { window: { kind: 'ddw' } }),
    { dmaBits: 40 },
    /for devices that take 64 bits/,
    /kind: default/,
  ],
  ['an address', of('vfio', { iovaStart: 2 ** 32 }), { dmaBits: 32 }, /iovaStart is beyond/, /iovaStart out/],
  ['no IOMMU', of('vfio', { container: 'noiommu' }), { dmaBits: 32 }, /beyond 2\^32/, /with an IOMMU/],
  ['a shared alias', of('sev', { technology: 'cca' }), { dmaBits: 40 }, /bit 47 set/, /ipaBits at most 40/],
  [
    'a boundary',
    of('sev', { boundary: '4KiB' }),
    { minAlignMask: 0xfff },
    /no room for the bits 0xfff/,
    /boundary larger/,
  ],
];

describe('a device with few address bits', () => {
  it.each(REFUSED)(
    'is refused with %s, at its place and with what to do',
    async (_what, platform, device, why, hint) => {
      const [[key]] = Object.entries(device) as [[string, unknown]];
      expect(await check(platform, device)).toMatchObject({
        code: 'ERR_DMA_MASK',
        message: expect.stringMatching(why),
        hint: expect.stringMatching(hint),
        issues: [expect.objectContaining({ path: `device.${key}`, code: 'ERR_DMA_MASK', line: expect.any(Number) })],
      });
      expect(await check(platform, {})).toBeUndefined();
    },
  );

  it.each([
    [of('intel-iommu'), { dmaBits: 32, minAlignMask: 0x1fff }, 'minAlignMask'],
    [of('vfio'), { dmaBits: 32, minAlignMask: 0x1fff }, 'minAlignMask'],
    [of('sev', { boundary: '4KiB' }), { dmaBits: 32, minAlignMask: 0xfff }, 'minAlignMask'],
    [of('pseries', { window: { kind: 'default' } }), { dmaBits: 40, minAlignMask: 0x1fff }, 'minAlignMask'],
    [of('virtio-iommu', { domain: 'identity' }), { dmaBits: 32, minAlignMask: 0x1fff }, 'dmaBits'],
    [of('sev', { technology: 'cca' }), { dmaBits: 40, minAlignMask: 0xfff }, 'dmaBits'],
  ])('is refused by the one of its two keys that is the problem: %o, %o', async (platform, device, key) => {
    expect(await check(platform, device)).toMatchObject({
      code: 'ERR_DMA_MASK',
      issues: [{ path: `device.${key}` }],
    });
  });

  it('is refused in one line of a report, with its place', async () => {
    const [platform, device] = [of('virtio-iommu', { domain: 'identity' }), { dmaBits: 32 }];
    const error = (await check(platform, device)) as CodedError;
    expect(error.message).toMatch(/^.* device\.dmaBits: .* beyond 2\^32$/);
    const { failure } = failedReport(await loadProfile(profileOf(platform, device, {})), error);
    expect(failure!.message).toBe(error.message);
  });

  it('is refused where the memory of the machine begins beyond what it reaches', async () => {
    const virt = { use: QEMU, board: 'virt', memory: '1GiB' };
    expect(await check({}, { dmaBits: 24 }, virt)).toMatchObject({
      code: 'ERR_DMA_MASK',
      message: expect.stringContaining('between 0x40100000 and 2^24'),
      hint: expect.stringContaining('memory begins lower'),
    });
    expect(await check({}, { dmaBits: 32 }, virt)).toBeUndefined();
    // The hole of a PC puts memory of 3 GiB beyond 4 GiB.
    const pc = { use: QEMU, board: 'q35', iommu: 'intel', memory: '2GiB' };
    const passing = of('intel-iommu', { domain: 'pass-through' });
    expect(await check(passing, { dmaBits: 31 }, pc)).toBeUndefined();
    expect(await check(passing, { dmaBits: 30 }, pc)).toMatchObject({ code: 'ERR_DMA_MASK' });
  });

  it.each([
    ['legacy', {}],
    ['intel-iommu', {}],
    ['virtio-iommu', {}],
    ['amd-iommu', {}],
    ['smmuv3', {}],
    ['smmuv3', { granule: '64KiB' }],
    ['pseries', { window: { kind: 'default' } }],
    ['sev', {}],
    ['vfio', {}],
  ])('is taken by %s', async (name, options) => {
    for (const dmaBits of [24, 32, 40])
      expect(await check(of(name, options), { dmaBits, minAlignMask: 0xfff })).toBeUndefined();
  });

  it('keeps as many low bits as a page of SMMUv3 has, and all where addresses are physical ones', async () => {
    expect(await check(of('smmuv3', { granule: '64KiB' }), { minAlignMask: 0xffff })).toBeUndefined();
    for (const name of ['amd-iommu', 'smmuv3'])
      for (const domain of ['pass-through', 'identity']) {
        const device = { dmaBits: 40, minAlignMask: 0xffff };
        expect(await check(of(name, { domain }), device)).toBeUndefined();
      }
  });

  it.each([
    [{ dmaBits: 20 }, /dmaBits/],
    [{ dmaBits: 65 }, /dmaBits/],
    [{ minAlignMask: 0xffe }, /one less than a power of two/],
  ])('is no device with %o', async (device, message) => {
    expect(await check({}, device)).toMatchObject({
      code: 'ERR_PROFILE_INVALID',
      message: expect.stringMatching(message),
    });
  });
});
