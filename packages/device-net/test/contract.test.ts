import { describeDeviceType } from '@virtio-platform/conformance';
import plugin from '@virtio-platform/device-net';

const module = new URL('../src/index.ts', import.meta.url);
describeDeviceType(plugin, { workloads: { echo: { blockSize: 700 }, stream: { blockSize: 1514 } }, module });
