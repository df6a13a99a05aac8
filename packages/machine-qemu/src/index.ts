/**
 * QEMU's own machines and devices, driven from outside over qtest: shared memory for rings and buffers, registers through the
 * protocol, hypercalls through a firmware of a few instructions.
 *
 * @packageDocumentation
 */
import {
  defineMachinePlugin,
  MACHINE,
  PLUGIN_API_VERSION,
  type MachinePlugin,
  type MissingRequirement,
} from '@virtio-platform/core';
import { hostProblem, missingProgram } from '@virtio-platform/host';
import { FACILITIES } from './board/open-board.ts';
import { QEMU_OPTIONS, qemuOptionsSchema, qemuProgram, type QemuOptions } from './options.ts';
import { QemuMachine } from './qemu-machine.ts';

export { QEMU_OPTIONS, qemuOptionsSchema, type QemuOptions } from './options.ts';
export { QemuMachine } from './qemu-machine.ts';

const plugin: MachinePlugin<QemuOptions> = defineMachinePlugin({
  kind: 'machine',
  name: 'qemu',
  apiVersion: PLUGIN_API_VERSION,
  options: qemuOptionsSchema,
  provides: FACILITIES,
  async missing(options) {
    const missing: MissingRequirement[] = [];
    const problem = hostProblem();
    if (problem !== undefined) missing.push({ what: problem.message, fix: problem.hint ?? '' });
    const program = missingProgram(qemuProgram(options));
    if (program !== undefined) missing.push(program);
    return missing;
  },
  register(container, options) {
    container.register(QEMU_OPTIONS, { useValue: options });
    container.registerSingleton(MACHINE, QemuMachine);
  },
});

export default plugin;
