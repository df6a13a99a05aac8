import { describeMachinePlugin } from '@virtio-platform/conformance';
import entropy from '@virtio-platform/device-entropy';
import plugin from '../src/index.ts';

const module = import.meta.resolve('@virtio-platform/device-entropy');

describeMachinePlugin(plugin, { options: { most: '64B' }, device: { type: entropy, module }, configBytes: 0 });
