import { describeDeviceType } from '@virtio-platform/conformance';
import plugin from '@virtio-platform/device-net';

const module = new URL('../src/index.ts', import.meta.url);
describeDeviceType(plugin, {
  workloads: { echo: { blockSize: 700 }, stream: { blockSize: 1514 }, mixed: { blockSize: 2000, commands: 0.3 } },
  module,
});
