import { setTimeout } from 'node:timers/promises';
import { isCodedError } from '@virtio-platform/core';
import { Disposal, StartedProgram, UnixSocket, type TemporaryFolder } from '@virtio-platform/host';
import { QtestConnection } from './qtest/qtest-connection.ts';
import type { QemuOptions, BoardName } from './options.ts';

/** Descriptors as QEMU has them. */
export const QTEST_DESCRIPTOR = 3;
export const MEMORY_DESCRIPTOR = 4;
export const FIRST_DEVICE_DESCRIPTOR = 5;

/** A question that every machine answers. */
const GREETING = 'endianness';
const LOOK_MS = 5;
/** A program that ended is noticed with the event loop. */
const ENDING_MS = 500;

/** Starts QEMU and waits until it answers. Throws `ERR_MACHINE_MISSING` and `ERR_MACHINE_START`; `disposal` gets what has to be ended. */
export async function startQemu(
  command: readonly string[],
  options: Pick<QemuOptions, 'startTimeout' | 'replyTimeout'>,
  own: { readonly folder: TemporaryFolder; readonly directory: string; readonly descriptors: readonly number[] },
  disposal: Disposal,
): Promise<QtestConnection> {
  const [here, there] = UnixSocket.pair();
  let program: StartedProgram;
  try {
    program = await StartedProgram.start(command, {
      role: 'machine',
      hint: 'run QEMU by hand with the same arguments; machine.program and machine.arguments of the profile are passed to it',
      folder: own.directory,
      errorFile: own.folder.pathOf('stderr'),
      abandon: () => own.folder.dispose(),
      descriptors: [there.descriptor, ...own.descriptors],
    });
  } catch (error) {
    here.dispose();
    throw error;
  } finally {
    there.dispose();
  }
  disposal.add(() => program.end());
  const qtest = new QtestConnection(here, {
    replyTimeoutMs: options.replyTimeout,
    lastWords: () => program.lastWords(),
  });
  disposal.add(() => qtest.dispose());
  await greet(qtest, program, options.startTimeout);
  return qtest;
}

/** Waits for the first answer without keeping signals and timers from this process. */
async function greet(qtest: QtestConnection, program: StartedProgram, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  try {
    qtest.send(GREETING);
    while (!qtest.hasAnswer && performance.now() < deadline) await setTimeout(LOOK_MS);
    if (!qtest.hasAnswer) throw program.startError(`did not answer in ${timeoutMs} ms`);
    qtest.answer(GREETING);
  } catch (error) {
    if (!isCodedError(error) || error.code !== 'ERR_DEVICE_LOST') throw error;
    const end = performance.now() + ENDING_MS;
    while (program.ending === undefined && performance.now() < end) await setTimeout(LOOK_MS);
    throw program.startError(program.ending === undefined ? error.message : `ended with ${program.ending}`);
  }
}

/** QEMU's machine types. What emulation does not have of a POWER machine's defaults it would warn of. */
const MACHINES: Readonly<Record<BoardName, string>> = {
  pc: 'pc',
  q35: 'q35',
  pseries: 'pseries,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off',
};

/**
 * The arguments for a machine that this process drives: its memory is a file that came along, its processor runs `firmware` and
 * nothing else. It runs in emulation: Debian's QEMU has no accelerator for tests.
 */
export function qemuArguments(options: QemuOptions, memory: number, firmware: string): string[] {
  const backend = { 'qom-type': 'memory-backend-file', id: 'memory', size: memory, share: true };
  const memoryPath = `/proc/self/fd/${MEMORY_DESCRIPTOR}`;
  const parts = [
    ['-no-user-config', '-nodefaults', '-display', 'none', '-accel', 'tcg', '-smp', '1'],
    ['-machine', `${MACHINES[options.board]},memory-backend=memory`, '-m', `${memory / 2 ** 20}M`],
    ['-object', JSON.stringify({ ...backend, 'mem-path': memoryPath }), '-bios', firmware],
    ['-chardev', `socket,id=qtest,fd=${QTEST_DESCRIPTOR}`, '-qtest', 'chardev:qtest', '-qtest-log', '/dev/null'],
    options.iommu === 'intel' ? ['-device', 'intel-iommu,intremap=off,caching-mode=off'] : [],
  ];
  return parts.flat();
}
