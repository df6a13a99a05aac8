import { describePlatformPlugin } from '@virtio-platform/conformance';
import plugin from '../src/index.ts';

describePlatformPlugin(plugin, { options: {} });
describePlatformPlugin(plugin, { options: { offset: '4KiB' } });
