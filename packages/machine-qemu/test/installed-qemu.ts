import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { deviceDescription } from '@virtio-platform/conformance/testing';
import type { DeviceDescription } from '@virtio-platform/core';
import { GuestMemory } from '@virtio-platform/core/memory';
import entropy from '@virtio-platform/device-entropy';
import { Disposal, TemporaryFolder, type SharedMemory } from '@virtio-platform/host';
import { deviceArguments } from '../src/device-arguments.ts';
import { createMachineMemory, firstDriverAddress, memoryHole } from '../src/machine-memory.ts';
import type { BoardName, Bus } from '../src/board/board-name.ts';
import { busOf, qemuOptionsSchema, qemuProgram, type QemuOptions } from '../src/options.ts';
import { qemuArguments, startQemu } from '../src/qemu-process.ts';
import type { QtestConnection } from '../src/qtest/qtest-connection.ts';
import { buildBoardFirmware } from '../src/board/board-firmware.ts';

const isInstalled = (['pc', 'pseries', 'virt'] as const).every((board) => {
  try {
    execFileSync(qemuProgram({ board }), ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
});

/** Whether the tests with a real QEMU are skipped. In CI they fail without QEMU. */
export const SKIP: boolean = !isInstalled && process.env['CI'] === undefined;
if (SKIP)
  console.warn(
    'QEMU is not installed, so its tests are skipped: apt-get install qemu-system-x86 qemu-system-ppc qemu-system-arm',
  );

/** Bytes of the smallest memory of each board. */
export const MEMORY: Readonly<Record<BoardName, number>> = {
  pc: 16 << 20,
  q35: 16 << 20,
  pseries: 256 << 20,
  microvm: 16 << 20,
  virt: 16 << 20,
};

/** A modern entropy device. */
export const ENTROPY: DeviceDescription = deviceDescription(entropy);

/** A running QEMU, and the memory that it shares with this process. */
export interface StartedQemu {
  readonly options: QemuOptions;
  readonly qtest: QtestConnection;
  readonly memory: GuestMemory;
  readonly backing: SharedMemory;
}

/** Starts QEMU with a board, without the transport and the facilities of the machine. `dispose` ends QEMU. */
export async function startBoard(
  board: BoardName,
  {
    device = ENTROPY,
    isProtected = false,
    hostBridge,
    bus,
  }: { device?: DeviceDescription; isProtected?: boolean; hostBridge?: object; bus?: Bus } = {},
): Promise<StartedQemu & { dispose(): Promise<void> }> {
  const disposal = new Disposal();
  try {
    const options = qemuOptionsSchema.parse({ board, hostBridge, bus });
    const folder = new TemporaryFolder();
    disposal.add(() => folder.dispose());
    const backing = createMachineMemory(board, MEMORY[board], isProtected);
    disposal.add(() => backing.dispose());
    const memory = new GuestMemory(backing.buffer, firstDriverAddress(board), memoryHole(board, MEMORY[board]));
    const firmware = folder.pathOf('firmware');
    writeFileSync(firmware, buildBoardFirmware(board));
    const resources = {
      image: (_path: string | undefined, capacity: number) => folder.createSparseFile('image', capacity),
      loopback: () => 0,
    };
    const command = [
      qemuProgram(options),
      ...qemuArguments(options, MEMORY[board], firmware),
      ...deviceArguments(device, resources, busOf(options) === 'mmio' ? 0 : undefined),
    ];
    const own = { folder, directory: tmpdir(), descriptors: [backing.descriptor] };
    const { qtest } = await startQemu(command, options, own, disposal);
    return { options, qtest, memory, backing, dispose: () => disposal.run() };
  } catch (error) {
    await disposal.run();
    throw error;
  }
}
