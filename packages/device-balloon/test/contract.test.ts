import { describeDeviceType } from '@virtio-platform/conformance';
import balloon from '@virtio-platform/device-balloon';

const module = import.meta.resolve('@virtio-platform/device-balloon');

// Targets that move, and hints: small, since the guest of the suite is.
const options = { targets: ['512KiB', '0B', '1MiB', '128KiB'], hints: true };
describeDeviceType(balloon, { module, options, workloads: { 'inflate-deflate': { batch: 4 }, mixed: { batch: 4 } } });
