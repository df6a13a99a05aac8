/**
 * A real virtio device on PCI, driven by an unprivileged process: the kernel assigns the device (VFIO), and an IOMMU
 * confines it to the memory that the process maps.
 *
 * @packageDocumentation
 */
import {
  defineMachinePlugin,
  MACHINE,
  MACHINE_REQUEST,
  PLUGIN_API_VERSION,
  type MachinePlugin,
} from '@virtio-platform/core';
import { hostProblem } from '@virtio-platform/host';
import { VFIO_CONTAINER } from '@virtio-platform/platform-vfio';
import { vfioMachineSchema, type VfioMachineOptions } from './options.ts';
import { missingForDevice, discoverVfioDevices } from './discovery/discover-vfio-devices.ts';
import { thisSystem } from './discovery/system-view.ts';
import { VfioMachine } from './vfio-machine.ts';

export { ProcessMemory } from './container/process-memory.ts';
export { requestDevice, type AssignedDevice } from './request-device.ts';
export { vfioMachineSchema, type VfioMachineInput, type VfioMachineOptions } from './options.ts';
export { missingForDevice, discoverVfioDevices } from './discovery/discover-vfio-devices.ts';
export type { SystemView } from './discovery/system-view.ts';
export { VfioMachine } from './vfio-machine.ts';

const plugin: MachinePlugin<VfioMachineOptions> = defineMachinePlugin({
  kind: 'machine',
  name: 'vfio',
  apiVersion: PLUGIN_API_VERSION,
  options: vfioMachineSchema,
  provides: [VFIO_CONTAINER],
  async missing({ device, container, sharesWith }) {
    const problem = hostProblem();
    if (problem !== undefined) return [{ what: problem.message, fix: problem.hint ?? '' }];
    const system = thisSystem();
    const devices = [...new Set([device, ...sharesWith])];
    const missing = devices.flatMap((address) => missingForDevice(system, address, container));
    return [...new Map(missing.map((each) => [each.what, each])).values()];
  },
  programs: () => [],
  async discover() {
    const problem = hostProblem();
    if (problem === undefined) return discoverVfioDevices(thisSystem());
    return { missing: [{ what: problem.message, fix: problem.hint ?? '' }], devices: [] };
  },
  transport: () => 'pci',
  register(container, options) {
    container.register(MACHINE, { useFactory: (bound) => new VfioMachine(bound.resolve(MACHINE_REQUEST), options) });
  },
});

export default plugin;
