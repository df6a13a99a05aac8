import { describeTransport } from '@virtio-platform/conformance';
import { bindMachine, machineRequest } from '@virtio-platform/conformance/testing';
import { PHYSICAL_ADDRESS_SPACE } from '@virtio-platform/core/address-space';
import entropy from '@virtio-platform/device-entropy';
import plugin from '../src/index.ts';

const request = machineRequest({
  device: {
    type: entropy,
    module: import.meta.resolve('@virtio-platform/device-entropy'),
    interface: 'modern',
    driverInterface: 'modern',
    offers: undefined,
    settings: {},
  },
  simulate: () => ({ facilities: new Map(), addressSpace: () => PHYSICAL_ADDRESS_SPACE }),
});

describeTransport(plugin.name, {
  async setup() {
    const { transport } = await bindMachine(plugin, { most: 64 }, request).machine.boot();
    return { transport, configBytes: 0 };
  },
});
