import { describePlatformPlugin } from '@virtio-platform/conformance';
import legacy from '@virtio-platform/platform-legacy';
import pseries from '@virtio-platform/platform-pseries';
import sev from '@virtio-platform/platform-sev';
import vfio from '@virtio-platform/platform-vfio';

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
  { guestEndian: 'big' },
  { secure: true, pool: '256KiB', window: { kind: 'ddw', mapping: 'linear' } },
  { secure: true, pool: '256KiB', window: { kind: 'ddw', mapping: 'dynamic' } },
  { secure: true, pool: '256KiB', window: { kind: 'default', mapping: 'identity' } },
];

describePlatformPlugin(legacy);
for (const options of PSERIES) describePlatformPlugin(pseries, { options });
describePlatformPlugin(sev);
describePlatformPlugin(vfio);
describePlatformPlugin(vfio, { options: { addressWidth: 48 } });
