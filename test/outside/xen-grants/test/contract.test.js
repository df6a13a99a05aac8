import { describePlatformPlugin } from '@virtio-platform/conformance';
import plugin from '../src/index.js';

for (const options of [
  {},
  { domain: 3, entries: 2048 },
  { guest: 'arm' },
  { guest: 'hvm' },
  { guest: 'hvm', grants: true },
])
  describePlatformPlugin(plugin, { options });
