import {
  defineMachinePlugin,
  MACHINE,
  MACHINE_REQUEST,
  PLUGIN_API_VERSION,
  type MachinePlugin,
} from '@virtio-platform/core';
import { optionsSchema, type TemplateNameOptions } from './options.ts';
import { TemplateNameMachine } from './template-name-machine.ts';

export { EntropyTransport } from './entropy-transport.ts';
export { optionsSchema, type TemplateNameOptions } from './options.ts';
export { TemplateNameMachine } from './template-name-machine.ts';

const plugin: MachinePlugin<TemplateNameOptions> = defineMachinePlugin({
  kind: 'machine',
  name: 'template-name',
  apiVersion: PLUGIN_API_VERSION,
  options: optionsSchema,
  // Its facilities are what a platform simulates. A machine with real ones lists their tokens.
  provides: 'simulated',
  missing: async () => [],
  programs: () => [],
  register(container, options) {
    container.register(MACHINE, {
      useFactory: (bound) => new TemplateNameMachine(bound.resolve(MACHINE_REQUEST), options),
    });
  },
});

export default plugin;
