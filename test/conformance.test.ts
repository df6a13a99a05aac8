import { describePlatformPlugin } from '@virtio-platform/conformance';
import legacy from '@virtio-platform/platform-legacy';
import pseries from '@virtio-platform/platform-pseries';
import sev from '@virtio-platform/platform-sev';
import vfio from '@virtio-platform/platform-vfio';

describePlatformPlugin(legacy);
describePlatformPlugin(pseries, { options: { window: { kind: 'ddw', mapping: 'linear' } } });
describePlatformPlugin(pseries, { options: { window: { kind: 'ddw', mapping: 'dynamic' } } });
describePlatformPlugin(pseries, { options: { window: { kind: 'default', mapping: 'dynamic' } } });
describePlatformPlugin(pseries, { options: { window: { kind: 'default', mapping: 'identity' } } });
for (const options of [
  {},
  { technology: 'snp', areas: 4, pool: '2MiB' },
  { technology: 'tdx', minAlignMask: 0xfff },
  { technology: 'sev', pool: '512KiB', areas: 2, minAlignMask: 0x1ff, boundary: '64KiB' },
  { technology: 'restricted-pool', pool: '1MiB' },
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
