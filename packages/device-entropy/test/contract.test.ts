import { describeDeviceType } from '@virtio-platform/conformance';
import plugin from '@virtio-platform/device-entropy';

const module = new URL('../src/index.ts', import.meta.url);
describeDeviceType(plugin, { options: { seed: 7 }, workloads: { read: { blockSize: 200 } }, module });
