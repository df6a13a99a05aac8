import { describeDeviceType } from '@virtio-platform/conformance';
import plugin from '@virtio-platform/device-scsi';

const module = new URL('../src/index.ts', import.meta.url);
const workloads = { 'write-read-verify': { blockSize: 512 }, mixed: { blockSize: 1024, tasks: 0.1 } };
const disks = [{ capacity: '8KiB' }, { lun: 1, capacity: '8KiB', serial: 'second' }];

describeDeviceType(plugin, { options: { disks, queues: 2 }, workloads, module });
