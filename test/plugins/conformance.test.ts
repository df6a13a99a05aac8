import { describePlatformPlugin } from '@virtio-platform/conformance';
import amdIommu from '@virtio-platform/platform-amd-iommu';
import intelIommu from '@virtio-platform/platform-intel-iommu';
import legacy from '@virtio-platform/platform-legacy';
import pseries from '@virtio-platform/platform-pseries';
import sev from '@virtio-platform/platform-sev';
import smmuv3 from '@virtio-platform/platform-smmuv3';
import vfio from '@virtio-platform/platform-vfio';
import virtioIommu from '@virtio-platform/platform-virtio-iommu';

/** Each way of mapping, under each hypervisor, and the machines and guests that change how a window is had. */
const PSERIES: readonly object[] = [
  ...['qemu', 'kvm'].flatMap((hypervisor) => [
    { hypervisor, window: { kind: 'ddw', mapping: 'linear' } },
    { hypervisor, window: { kind: 'ddw', mapping: 'dynamic' } },
    { hypervisor, window: { kind: 'default', mapping: 'dynamic' } },
    { hypervisor, window: { kind: 'default', mapping: 'identity' } },
  ]),
  { window: { kind: 'ddw', mapping: 'linear', pageSize: '16MiB' } },
  { window: { kind: 'ddw', mapping: 'dynamic', pageSize: '2MiB' } },
  { dynamicWindows: 'replace', window: { kind: 'ddw', mapping: 'linear' } },
  { dynamicWindows: 'replace', window: { kind: 'ddw', mapping: 'dynamic' } },
  { dynamicWindows: 'none', window: { kind: 'default' } },
  { onHypercallError: 'linux', window: { kind: 'ddw', mapping: 'dynamic' } },
  { multiTce: false, window: { kind: 'default' }, defaultWindowAddress: 0x1000_0000, defaultWindowSize: '64MiB' },
  { multiTce: false, window: { kind: 'ddw', mapping: 'linear' }, dynamicWindowAddress: 2 ** 36 },
  { takeover: 'kexec', window: { kind: 'default' } },
  { takeover: 'kdump', window: { kind: 'default' } },
  { takeover: 'kdump', window: { mapping: 'linear' }, formerOwner: { window: { mapping: 'linear' } } },
  { guestEndian: 'big' },
  { secure: true, pool: '256KiB', window: { kind: 'ddw', mapping: 'linear' } },
  { secure: true, pool: '256KiB', window: { kind: 'ddw', mapping: 'dynamic' } },
  { secure: true, pool: '256KiB', window: { kind: 'default', mapping: 'identity' } },
];

/** Half of the memory of a suite, and the low bits of a page kept. */
const NARROW = { addressing: { addressBits: 21, minAlignMask: 0xfff } };

describePlatformPlugin(legacy);
describePlatformPlugin(legacy, { options: { pool: '256KiB' }, ...NARROW });
describePlatformPlugin(sev, { options: { pool: '512KiB', coherentPool: '64KiB' }, ...NARROW });
describePlatformPlugin(intelIommu, NARROW);
describePlatformPlugin(virtioIommu, NARROW);
describePlatformPlugin(amdIommu, NARROW);
describePlatformPlugin(smmuv3, NARROW);
describePlatformPlugin(smmuv3, { options: { granule: '16KiB' }, ...NARROW });
describePlatformPlugin(vfio, NARROW);
describePlatformPlugin(pseries, { options: { window: { kind: 'default' } }, ...NARROW });
for (const options of PSERIES) describePlatformPlugin(pseries, { options });
for (const options of [
  {},
  { technology: 'snp', areas: 4, pool: '2MiB' },
  { technology: 'tdx', minAlignMask: 0xfff },
  { technology: 'sev', pool: '512KiB', areas: 2, minAlignMask: 0x1ff, boundary: '64KiB' },
  { technology: 'restricted-pool', pool: '1MiB' },
  { technology: 'pkvm', pool: '512KiB', granule: '16KiB' },
  { technology: 'cca', granule: '64KiB', ipaBits: 40 },
]) {
  describePlatformPlugin(sev, { options });
}
for (const options of [
  {},
  { addressWidth: 48, reserved: [{ start: 0, size: '1MiB' }] },
  { container: 'type1' },
  { container: 'spapr-v1', memoryLockLimit: '1GiB' },
  { container: 'spapr-v2', memoryLockLimit: '64MiB' },
  { container: 'spapr-v2', memoryLockLimit: '64MiB', window: { pageSize: '64KiB' } },
  { container: 'spapr-v2', memoryLockLimit: '64MiB', window: { pageSize: '4KiB', size: '4GiB' } },
  { container: 'iommufd' },
  { container: 'iommufd', iovaStart: 2 ** 32 },
  { container: 'noiommu', unsafeNoiommuMode: true, capSysRawio: true },
]) {
  describePlatformPlugin(vfio, { options });
}
for (const options of [
  {},
  { addressWidth: 48, largePages: false },
  { aperture: '512KiB' },
  { aperture: '2GiB', unit: { cachingMode: true, addressWidth: 39 } },
  { failures: { invalidation: { every: 3 } } },
  { invalidation: 'queued', addressWidth: 57, unit: { cachingMode: true, addressWidth: 57 } },
  { invalidation: 'queued', failures: { invalidation: { every: 3 } } },
  { invalidation: 'queued', failures: { timeout: { every: 3 } } },
  {
    invalidation: 'queued',
    interruptRemapping: true,
    mode: 'scalable',
    unit: { scalableMode: true, interruptRemapping: true },
  },
  { confinesEveryDevice: true },
  { takeover: 'kexec' },
  {
    takeover: 'kdump',
    invalidation: 'queued',
    interruptRemapping: true,
    mode: 'scalable',
    unit: { scalableMode: true, interruptRemapping: true },
    formerOwner: { mode: 'scalable', interruptRemapping: true },
  },
  { takeover: 'kdump', domain: 'identity' },
  { domain: 'pass-through' },
  { domain: 'identity' },
  { domain: 'identity', largePages: false, addressWidth: 48 },
]) {
  describePlatformPlugin(intelIommu, { options });
}
for (const options of [
  {},
  { levels: 1, aperture: '1MiB' },
  { levels: 6, largePages: false, unit: { cachesAbsence: true } },
  { levels: 4, unit: { levels: 4, invalidatesAll: false } },
  { failures: { invalidation: { every: 3 } } },
  { confinesEveryDevice: true },
  { domain: 'pass-through' },
  { domain: 'identity' },
]) {
  describePlatformPlugin(amdIommu, { options });
}
for (const options of [
  {},
  { layout: 'packed', aperture: '512KiB' },
  { unit: { pageSize: '64KiB' }, guestPageSize: '64KiB' },
  { unit: { inputStart: 2 ** 32 } },
  { failures: { unmap: { every: 3 } } },
  { lacks: ['IOMMU_PROBE', 'IOMMU_BYPASS_CONFIG'] },
  { domain: 'bypass' },
  { domain: 'bypass', unit: { bypass: 'feature' } },
  { domain: 'identity' },
]) {
  describePlatformPlugin(virtioIommu, { options });
}
for (const options of [
  {},
  { addressBits: 48, aperture: '512KiB', onLostInvalidation: 'reuse', unit: { commandBits: 2, eventBits: 0 } },
  { granule: '16KiB', aperture: '512KiB', failures: { invalidation: { every: 3 } } },
  { granule: '64KiB', largePages: false, confinesEveryDevice: true },
  { domain: 'pass-through' },
  { domain: 'identity', granule: '64KiB' },
]) {
  describePlatformPlugin(smmuv3, { options });
}
