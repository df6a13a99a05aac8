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
describePlatformPlugin(sev);
describePlatformPlugin(vfio);
describePlatformPlugin(vfio, { options: { addressWidth: 48 } });
