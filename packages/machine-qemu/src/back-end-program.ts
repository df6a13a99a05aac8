import { existsSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { StartedProgram, type Disposal, type TemporaryFolder } from '@virtio-platform/host';
import { SOCKET_PLACEHOLDER } from './options.ts';

const POLL_MS = 10;

/** A vhost-user back-end that runs, with the path of the socket on which it listens. */
export interface BackEndProgram {
  readonly program: StartedProgram;
  readonly socket: string;
}

/** Where a back-end is started, and how long it may take until it listens. */
export interface BackEndSurroundings {
  readonly folder: TemporaryFolder;
  /** The working directory. */
  readonly directory: string;
  readonly startTimeout: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Starts the vhost-user back-end with which the device of QEMU works, and waits until its socket is there: QEMU
 * connects once. Adds to `disposal` the step that ends it. Throws `ERR_MACHINE_MISSING` and `ERR_MACHINE_START`.
 */
export async function startBackEnd(
  command: readonly string[],
  { folder, directory, startTimeout, signal }: BackEndSurroundings,
  disposal: Disposal,
): Promise<BackEndProgram> {
  const socket = folder.pathOf('back-end');
  const filled = command.map((argument) => argument.replaceAll(SOCKET_PLACEHOLDER, () => socket));
  const program = await StartedProgram.start(filled, {
    role: 'back-end',
    hint: 'machine.backEnd has to name a program that this user may run: run it by hand and see what it says',
    folder: directory,
    errorFile: folder.pathOf('back-end-stderr'),
    abandon: () => folder.dispose(),
  });
  disposal.add(() => program.end());
  const deadline = performance.now() + startTimeout;
  while (!existsSync(socket)) {
    if (program.ending !== undefined) throw program.startError(`ended with ${program.ending} before it listened`);
    if (performance.now() > deadline) throw program.startError(`did not listen in ${startTimeout} ms`);
    await setTimeout(POLL_MS);
    signal?.throwIfAborted();
  }
  return { program, socket };
}
