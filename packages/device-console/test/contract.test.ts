import { describeDeviceType } from '@virtio-platform/conformance';
import plugin from '@virtio-platform/device-console';

const module = new URL('../src/index.ts', import.meta.url);
const workloads = { echo: { blockSize: 300 }, stream: { blockSize: 700 }, mixed: { blockSize: 500 } };
describeDeviceType(plugin, { options: { ports: 2 }, workloads, module });
