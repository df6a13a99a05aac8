import { describeDeviceType } from '@virtio-platform/conformance';
import plugin from '@virtio-platform/device-block';

const module = new URL('../src/index.ts', import.meta.url);
describeDeviceType(plugin, {
  options: { capacity: '8KiB' },
  workloads: { 'write-read-verify': { blockSize: 512 }, read: { blockSize: 512 }, mixed: { blockSize: 1024 } },
  module,
});
