import { setTimeout } from 'node:timers/promises';
import { isCodedError } from '@virtio-platform/core';
import { StartedProgram, UnixSocket, type Disposal, type TemporaryFolder } from '@virtio-platform/host';
import { hostBridgeArguments } from './host-bridge-properties.ts';
import { AMD_IOMMU_ARGUMENTS } from './amd-iommu/amd-iommu-arguments.ts';
import { intelIommuArguments, intelIommuSchema } from './intel-iommu-properties.ts';
import { PC_LOW_MEMORY } from './machine-memory.ts';
import type { BoardName } from './board/board-name.ts';
import type { QemuOptions } from './options.ts';
import { QtestConnection } from './qtest/qtest-connection.ts';
import { virtioIommuArguments, virtioIommuSchema } from './virtio-iommu-properties.ts';

/** The first descriptor of QEMU for a loopback. The descriptors before it are the qtest socket and the memory. */
export const FIRST_DEVICE_DESCRIPTOR = 5;
const QTEST_DESCRIPTOR = 3;
const MEMORY_DESCRIPTOR = 4;

/** A qtest command that every machine answers. */
const FIRST_COMMAND = 'endianness';
const POLL_MS = 5;
/** Milliseconds until the event loop reports the end of a program. */
const ENDING_MS = 500;

/** QEMU's machine types. The properties of pseries are capabilities that emulation lacks, of which QEMU would warn. */
const MACHINES: Readonly<Record<BoardName, string>> = {
  pc: `pc,max-ram-below-4g=${PC_LOW_MEMORY}`,
  q35: `q35,max-ram-below-4g=${PC_LOW_MEMORY}`,
  pseries: 'pseries,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off',
  microvm: 'microvm',
  virt: 'virt',
};
/** The processor that the firmware of a board is for, where it is not the default one. */
const PROCESSORS: { readonly [Name in BoardName]?: string } = { virt: 'cortex-a57' };

/**
 * The arguments for a machine that this process drives: its memory is an inherited file, and its processor runs
 * `firmware` and nothing else. QEMU emulates the processor, because tests run without KVM.
 */
export function qemuArguments(options: QemuOptions, memory: number, firmware: string): string[] {
  const backend = { 'qom-type': 'memory-backend-file', id: 'memory', size: memory, share: true };
  const memoryPath = `/proc/self/fd/${MEMORY_DESCRIPTOR}`;
  const cpu = PROCESSORS[options.board];
  const parts = [
    ['-no-user-config', '-nodefaults', '-display', 'none', '-accel', 'tcg', '-smp', '1'],
    [
      '-machine',
      `${MACHINES[options.board]}${machineProperties(options)},memory-backend=memory`,
      '-m',
      `${memory / 2 ** 20}M`,
    ],
    ['-object', JSON.stringify({ ...backend, 'mem-path': memoryPath }), '-bios', firmware],
    ['-chardev', `socket,id=qtest,fd=${QTEST_DESCRIPTOR}`, '-qtest', 'chardev:qtest', '-qtest-log', '/dev/null'],
    cpu === undefined ? [] : ['-cpu', cpu],
    iommuArguments(options),
    hostBridgeArguments(options.hostBridge ?? {}),
  ];
  return parts.flat();
}

/** What the profile says of properties of the machine. */
function machineProperties({ iommu, gic }: QemuOptions): string {
  return (iommu === 'smmuv3' ? ',iommu=smmuv3' : '') + (gic === undefined ? '' : `,gic-version=${gic}`);
}

/** The IOMMU, which QEMU wants before the devices behind it, where it is a device. */
function iommuArguments({ iommu, intelIommu, virtioIommu }: QemuOptions): readonly string[] {
  if (iommu === 'none' || iommu === 'smmuv3') return [];
  if (iommu === 'amd') return AMD_IOMMU_ARGUMENTS;
  return iommu === 'intel'
    ? intelIommuArguments(intelIommu ?? intelIommuSchema.parse({}))
    : virtioIommuArguments(virtioIommu ?? virtioIommuSchema.parse({}));
}

/** What QEMU is started in. */
export interface QemuSurroundings {
  readonly folder: TemporaryFolder;
  /** The working directory. */
  readonly directory: string;
  readonly descriptors: readonly number[];
  /** Ends the wait for QEMU once it is aborted. */
  readonly signal?: AbortSignal | undefined;
}

/** QEMU, and the connection by which it is driven. */
export interface StartedQemu {
  readonly qtest: QtestConnection;
  readonly program: StartedProgram;
}

/**
 * Starts QEMU and waits for its first answer. QEMU inherits `own.descriptors`, of which the first is its memory. Adds
 * to `disposal` the steps that end QEMU. Throws `ERR_MACHINE_MISSING` and `ERR_MACHINE_START`.
 */
export async function startQemu(
  command: readonly string[],
  options: Pick<QemuOptions, 'startTimeout' | 'replyTimeout'>,
  own: QemuSurroundings,
  disposal: Disposal,
): Promise<StartedQemu> {
  const [here, there] = UnixSocket.pair();
  let program: StartedProgram;
  try {
    program = await StartedProgram.start(command, {
      role: 'machine',
      hint:
        'run QEMU by hand with the same arguments; ' +
        'machine.program and machine.arguments of the profile are passed to it',
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
    stderrTail: () => program.stderrTail(),
  });
  disposal.add(() => qtest.dispose());
  await awaitFirstAnswer(qtest, program, options.startTimeout, own.signal);
  return { qtest, program };
}

/** Polls for the first answer, so that the event loop of this process goes on. */
async function awaitFirstAnswer(
  qtest: QtestConnection,
  program: StartedProgram,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  try {
    qtest.send(FIRST_COMMAND);
    while (!qtest.hasAnswer && performance.now() < deadline) {
      await setTimeout(POLL_MS);
      signal?.throwIfAborted();
    }
    if (!qtest.hasAnswer) throw program.startError(`did not answer in ${timeoutMs} ms`);
    qtest.answer(FIRST_COMMAND);
  } catch (error) {
    if (!isCodedError(error) || error.code !== 'ERR_DEVICE_LOST') throw error;
    const end = performance.now() + ENDING_MS;
    while (program.ending === undefined && performance.now() < end) await setTimeout(POLL_MS);
    throw program.startError(program.ending === undefined ? error.message : `ended with ${program.ending}`);
  }
}
