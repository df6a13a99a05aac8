import { describeDeviceType } from '@virtio-platform/conformance';
import plugin from '../src/index.js';

describeDeviceType(plugin, { module: new URL('../src/index.js', import.meta.url) });
