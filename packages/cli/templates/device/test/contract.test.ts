import { describeDeviceType } from '@virtio-platform/conformance';
import plugin from '../src/index.ts';

describeDeviceType(plugin, { options: { interval: 1, step: 3 } });
