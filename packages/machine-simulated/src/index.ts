/**
 * The embedded machine: memory, enforcement and device in this process, or the device in a worker.
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
import { memorySizeProblem, MOST_SHARED_MEMORY } from '@virtio-platform/core/memory';
import { simulatedOptionsSchema, type SimulatedOptions } from './options.ts';
import { SimulatedMachine } from './simulated-machine.ts';

export { simulatedOptionsSchema, type SimulatedOptions } from './options.ts';
export { SimulatedMachine } from './simulated-machine.ts';
export { SimulatedDevice, type SimulatedDeviceOptions } from './simulated-device.ts';
export { InProcessTransport } from './in-process-transport.ts';
export { SimulatedMmio } from './simulated-mmio.ts';

const plugin: MachinePlugin<SimulatedOptions> = defineMachinePlugin({
  kind: 'machine',
  name: 'simulated',
  apiVersion: PLUGIN_API_VERSION,
  options: simulatedOptionsSchema,
  provides: 'simulated',
  memoryProblem: (memory) => memorySizeProblem(memory, MOST_SHARED_MEMORY),
  missing: async () => [],
  programs: () => [],
  transport: ({ transport }) => transport,
  register(container, options) {
    container.register(MACHINE, {
      useFactory: (bound) => new SimulatedMachine(bound.resolve(MACHINE_REQUEST), options),
    });
  },
});

export default plugin;
