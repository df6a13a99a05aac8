import { describeDeviceType } from '@virtio-platform/conformance';
import plugin from '@virtio-platform/device-console';

const module = new URL('../src/index.ts', import.meta.url);
describeDeviceType(plugin, { workloads: { echo: { blockSize: 300 }, stream: { blockSize: 700 } }, module });
