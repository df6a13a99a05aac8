/**
 * QEMU's own machines and devices, driven from outside over qtest: rings and buffers are in shared memory, qtest
 * accesses the registers, and a firmware of a few instructions makes the hypercalls.
 *
 * @packageDocumentation
 */
import { defineMachinePlugin, MACHINE, MACHINE_REQUEST, PLUGIN_API_VERSION } from '@virtio-platform/core';
import type { MachinePlugin, MissingRequirement } from '@virtio-platform/core';
import { VIRTIO_F_ACCESS_PLATFORM } from '@virtio-platform/core/features';
import { hostProblem, missingProgram } from '@virtio-platform/host';
import { MEMORY_CONVERSION } from '@virtio-platform/platform-sev';
import { boardMemoryProblem, firstDriverAddress, memoryHole } from './machine-memory.ts';
import { boardProblem, FACILITIES, undrivenProblem } from './open-board.ts';
import { simulatedAsBoard } from './simulated-as-board.ts';
import { BOARDS } from './board/board-name.ts';
import { busOf, qemuOptionsSchema, qemuProgram, type QemuOptions } from './options.ts';
import { QemuMachine } from './qemu-machine.ts';

export { qemuOptionsSchema, type QemuOptions } from './options.ts';
export { QemuMachine } from './qemu-machine.ts';

const plugin: MachinePlugin<QemuOptions> = defineMachinePlugin({
  kind: 'machine',
  name: 'qemu',
  apiVersion: PLUGIN_API_VERSION,
  options: qemuOptionsSchema,
  provides: FACILITIES,
  async missing(options) {
    const missing = programsOf(options).map((program) => missingProgram(program));
    return [...missingHost(), ...missing.filter((program) => program !== undefined)];
  },
  programs: programsOf,
  async discover() {
    const programs = BOARDS.map((board) => qemuProgram({ program: undefined, board }));
    const devices = [...new Set(programs)].map((name) => {
      const boards = BOARDS.filter((_, i) => programs[i] === name).join(', ');
      const missing = missingProgram(name);
      return { name, what: `QEMU's ${boards}`, details: {}, missing: missing === undefined ? [] : [missing] };
    });
    return { missing: missingHost(), devices };
  },
  facilityProblem: (needs, options, offers) =>
    boardProblem(options, needs) ??
    (offers?.has(VIRTIO_F_ACCESS_PLATFORM) === true ? undrivenProblem(options, needs) : undefined),
  simulatedAs: simulatedAsBoard,
  memoryProblem(memory, { board }, needs) {
    return boardMemoryProblem(board, memory, needs.includes(MEMORY_CONVERSION));
  },
  memoryRange: (memory, { board }) => ({
    first: firstDriverAddress(board),
    end: memory + (memoryHole(board, memory)?.length ?? 0),
  }),
  transport: (options) => busOf(options),
  register(container, options) {
    container.register(MACHINE, { useFactory: (bound) => new QemuMachine(bound.resolve(MACHINE_REQUEST), options) });
  },
});

/** The programs of a run: QEMU, and the back-end of its device. */
function programsOf(options: QemuOptions): string[] {
  return [qemuProgram(options), ...(typeof options.backEnd === 'object' ? options.backEnd.slice(0, 1) : [])];
}

/** The requirements of every board that this computer does not meet. */
function missingHost(): MissingRequirement[] {
  const problem = hostProblem();
  return problem === undefined ? [] : [{ what: problem.message, fix: problem.hint ?? '' }];
}

export default plugin;
