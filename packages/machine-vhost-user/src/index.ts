/**
 * A machine whose device is a real back-end in another process, reached by the vhost-user protocol: a Unix socket for
 * messages, shared memory for rings and buffers.
 *
 * @packageDocumentation
 */
import { defineMachinePlugin, MACHINE, MACHINE_REQUEST, PLUGIN_API_VERSION } from '@virtio-platform/core';
import type { MachinePlugin, MissingRequirement } from '@virtio-platform/core';
import { hostProblem, missingProgram } from '@virtio-platform/host';
import { FACILITIES } from './memory/device-memory.ts';
import { vhostUserOptionsSchema, type VhostUserOptions } from './options.ts';
import { VhostUserMachine } from './vhost-user-machine.ts';

export { vhostUserOptionsSchema, type VhostUserOptions } from './options.ts';
export { VhostUserMachine } from './vhost-user-machine.ts';

const plugin: MachinePlugin<VhostUserOptions> = defineMachinePlugin({
  kind: 'machine',
  name: 'vhost-user',
  apiVersion: PLUGIN_API_VERSION,
  options: vhostUserOptionsSchema,
  provides: FACILITIES,
  renamedOptions: { 'iotlb.tell': 'iotlb.fill' },
  async missing({ command }) {
    const missing: MissingRequirement[] = [];
    const problem = hostProblem();
    if (problem !== undefined) missing.push({ what: problem.message, fix: problem.hint ?? '' });
    const program = command === undefined ? undefined : missingProgram(command[0]!);
    if (program !== undefined) missing.push(program);
    return missing;
  },
  programs: ({ command }) => (command === undefined ? [] : [command[0]!]),
  register(container, options) {
    container.register(MACHINE, {
      useFactory: (bound) => new VhostUserMachine(bound.resolve(MACHINE_REQUEST), options),
    });
  },
});

export default plugin;
