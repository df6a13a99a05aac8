import { checkPlugins, describedHardware, loadProfile } from '@virtio-platform/profile';
import { describe, expect, it } from 'vitest';
import { pluginError } from './plugin-error.ts';

const QEMU = '@virtio-platform/machine-qemu';
const SIMULATED = '@virtio-platform/machine-simulated';
const VHOST_USER = { use: '@virtio-platform/machine-vhost-user', socket: './back-end.sock' };
const VFIO = { use: '@virtio-platform/machine-vfio', device: '0000:00:03.0' };

async function check(platform: string, options: object, machine: object, device?: object): Promise<unknown> {
  return await pluginError({ use: `@virtio-platform/platform-${platform}`, ...options }, machine, device);
}

const Q35 = { use: QEMU, board: 'q35' };
const PSERIES = { use: QEMU, board: 'pseries' };

describe('a profile that describes simulated hardware', () => {
  it.each([
    ['amd-iommu', { unit: { eventLog: false } }, { ...Q35, iommu: 'amd' }, ['unit']],
    ['intel-iommu', { unit: { cachingMode: true } }, { ...Q35, iommu: 'intel' }, ['unit']],
    // What it says is the default, and QEMU's.
    ['intel-iommu', { unit: { passThrough: true } }, { ...Q35, iommu: 'intel' }, ['unit']],
    ['smmuv3', { unit: { outputBits: 40 } }, { use: QEMU, board: 'virt', iommu: 'smmuv3' }, ['unit']],
    ['virtio-iommu', { unit: { probe: false } }, { ...Q35, iommu: 'virtio' }, ['unit']],
    ['pseries', { hypervisor: 'kvm', dynamicWindows: 'none' }, PSERIES, ['hypervisor', 'dynamicWindows']],
    ['pseries', { failures: { invalidation: { every: 3 } } }, PSERIES, ['failures.invalidation']],
    ['vfio', { container: 'type1', memoryLockLimit: '1MiB' }, VHOST_USER, ['memoryLockLimit']],
    ['vfio', { container: 'type1', entryLimit: 9, capIpcLock: true }, VFIO, ['capIpcLock', 'entryLimit']],
  ])('is refused for %s with %j on a machine that has its own', async (platform, options, machine, paths) => {
    expect(await check(platform, options, { ...machine })).toMatchObject({
      code: 'ERR_PLUGIN_OPTIONS',
      issues: paths.map((path) => ({
        path: `platform.${path}`,
        message: expect.stringMatching(/^has no effect on machine [a-z-]+: it describes simulated hardware$/),
      })),
    });
    expect(await check(platform, options, { use: SIMULATED })).toBeUndefined();
  });

  it('may have failures that the platform itself makes, on each machine', async () => {
    const failures = { hypercall: { every: 3 } };
    expect(await check('pseries', { failures, multiTce: false }, PSERIES)).toBeUndefined();
    expect(await check('sev', { failures: { conversion: { every: 3 } } }, Q35)).toBeUndefined();
  });
});

describe('a board of QEMU without what the platform needs', () => {
  it.each([
    ['amd-iommu', { ...Q35, iommu: 'intel' }, /q35 with machine\.iommu: intel does not have an AMD IOMMU/],
    ['intel-iommu', Q35, /q35 does not have VT-d/],
    ['virtio-iommu', PSERIES, /pseries does not have a virtio-iommu/],
    ['pseries', Q35, /q35 does not have TCE tables/],
    ['sev', { use: QEMU, board: 'virt' }, /virt does not have protected memory/],
    ['smmuv3', { use: QEMU, board: 'virt', iommu: 'virtio' }, /does not have an SMMUv3/],
  ])('is refused at check for %s on %j', async (platform, machine, message) => {
    expect(await check(platform, {}, machine)).toMatchObject({
      code: 'ERR_PLUGIN_FACILITY',
      message: expect.stringMatching(message),
      hint: expect.stringMatching(/^use machine\./),
    });
  });
});

describe('a device that offers ACCESS_PLATFORM behind an IOMMU of QEMU which the platform does not drive', () => {
  const offers = ['VERSION_1', 'ACCESS_PLATFORM'];
  const CLOSED = { iommu: 'virtio', virtioIommu: { bootBypass: false } };

  it.each([
    ['legacy', PSERIES, /host bridge of QEMU's pseries translates for/],
    ['legacy', { ...PSERIES, ...CLOSED }, /virtio-iommu stops/],
    ['legacy', { ...Q35, ...CLOSED }, /virtio-iommu stops/],
    ['sev', { ...Q35, ...CLOSED }, /virtio-iommu stops/],
  ])('is refused at check for %s on %j', async (platform, machine, message) => {
    expect(await check(platform, {}, machine, { offers })).toMatchObject({
      code: 'ERR_PLUGIN_FACILITY',
      message: expect.stringMatching(message),
      hint: expect.stringMatching(/, or leave ACCESS_PLATFORM out of device\.offers$/),
    });
    expect(await check(platform, {}, machine, { offers: ['VERSION_1'] })).toBeUndefined();
  });

  it.each([
    ['legacy', { ...Q35, iommu: 'virtio' }],
    ['legacy', { ...Q35, iommu: 'intel' }],
    ['virtio-iommu', { ...Q35, ...CLOSED }],
    ['pseries', PSERIES],
  ])('is let through or driven for %s on %j', async (platform, machine) => {
    expect(await check(platform, {}, machine, { offers })).toBeUndefined();
  });
});

describe('what a platform needs with certain options alone', () => {
  it.each([
    ['pseries', { secure: true }, PSERIES, 'Ultravisor', 'qemu'],
    ['pseries', { secure: true }, VHOST_USER, 'Ultravisor', 'vhost-user'],
    ['sev', { technology: 'cca' }, Q35, 'Realm', 'qemu'],
    ['sev', { technology: 'cca' }, VHOST_USER, 'Realm', 'vhost-user'],
  ])('is missed at check for %s with %j on %j', async (platform, options, machine, facility, name) => {
    expect(await check(platform, options, machine)).toMatchObject({
      code: 'ERR_PLUGIN_FACILITY',
      message: expect.stringMatching(new RegExp(`asks with these options for .*:${facility}, which machine ${name} `)),
    });
    expect(await check(platform, options, { use: SIMULATED })).toBeUndefined();
    expect(await check(platform, {}, machine)).toBeUndefined();
  });
});

describe('a transitional device', () => {
  const transitional = { interface: 'transitional' };

  it.each([
    { use: SIMULATED, transport: 'mmio' },
    { use: QEMU, board: 'microvm' },
  ])('is refused on %j, whose register Version states one interface', async (machine) => {
    expect(await check('legacy', {}, machine, transitional)).toMatchObject({
      code: 'ERR_PLUGIN_TRANSPORT',
      issues: [{ path: 'device.interface', message: expect.stringContaining('Version is 1 or 2') }],
    });
  });

  it.each([{ use: SIMULATED }, { use: SIMULATED, transport: 'channel-io' }, Q35])('is on %j', async (machine) => {
    expect(await check('legacy', {}, machine, transitional)).toBeUndefined();
  });
});

const DESCRIBED = {
  profile: 'described',
  platform: { use: '@virtio-platform/platform-intel-iommu' },
  machine: { use: SIMULATED, memory: '16MiB' },
  device: { type: 'entropy' },
  workload: { kind: 'read', requests: 1, depth: 1, blockSize: '64B' },
};

describe('what a platform says that it needs with its options', () => {
  it.each([
    ['a text', 'Realm'],
    ['a promise', Promise.resolve([])],
    ['a list of texts', ['Realm']],
  ])('is no %s', async (_, answer) => {
    const { platform, machine } = await checkPlugins(await loadProfile(DESCRIBED));
    const plugin = { ...platform.plugin, needsWith: () => answer as never };
    await expect(describedHardware({ ...platform, plugin }, machine)).rejects.toMatchObject({
      code: 'ERR_PLUGIN_CONTRACT',
      message: expect.stringMatching(/`needsWith` returned .*, not a list of tokens/),
    });
  });
});

describe('what a machine says of its hardware', () => {
  const unit = { cachingMode: true };

  it.each<[string, () => unknown, RegExp | undefined]>([
    ['options of the platform', () => ({ unit }), undefined],
    ['a promise', async () => ({ unit }), /`simulatedAs` returned .*, not options by name/],
    ['a map', () => new Map([['unit', unit]]), /`simulatedAs` returned .*, not options by name/],
    ['what the platform has not', () => ({ nonsense: 1 }), /`simulatedAs` gave what the platform refuses/],
    ['what the platform does not take', () => ({ unit: { addressWidth: 13 } }), /gave what the platform refuses/],
  ])('as %s', async (_, simulatedAs, message) => {
    const { platform, machine } = await checkPlugins(await loadProfile(DESCRIBED));
    const plugin = { ...machine.plugin, simulatedAs: simulatedAs as () => Readonly<Record<string, unknown>> };
    const asked = describedHardware(platform, { ...machine, plugin });
    if (message === undefined) expect((await asked).platform.options).toMatchObject({ unit });
    else
      await expect(asked).rejects.toMatchObject({
        code: 'ERR_PLUGIN_CONTRACT',
        message: expect.stringMatching(message),
      });
  });
});
