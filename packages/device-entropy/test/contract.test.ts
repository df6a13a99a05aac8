import { describeDeviceType } from '@virtio-platform/conformance';
import plugin from '@virtio-platform/device-entropy';

const module = new URL('../src/index.ts', import.meta.url);
const workloads = { read: { blockSize: 200 }, mixed: { blockSize: 300 } };
describeDeviceType(plugin, { options: { seed: 7 }, workloads, module });
// Buffers that come back with less than they have room for.
describeDeviceType(plugin, { options: { seed: 7, bufferBytes: 90 }, workloads, requests: 24 });
