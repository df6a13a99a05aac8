import { existsSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { CodedError } from '@virtio-platform/core/errors';
import { missingProgram, StartedProgram, TemporaryFolder } from '@virtio-platform/host';
import { pinned } from '../processes/pinned-core.ts';

/** What the disk of a back-end is: nothing, which answers at once, or a file in the page cache. */
export type DaemonDisk = 'null' | 'file';

const PROGRAM = 'qemu-storage-daemon';
const DISK_BYTES = 4 * 1024 * 1024;
const START_MS = 10_000;
const LOOK_MS = 5;

/** A disk that is served by QEMU's storage daemon, a back-end that this project did not write, for one measurement. */
export class StorageDaemon {
  /** The path at which it listens. */
  readonly socket: string;
  readonly #folder: TemporaryFolder;
  readonly #program: StartedProgram;

  private constructor(folder: TemporaryFolder, socket: string, program: StartedProgram) {
    this.#folder = folder;
    this.socket = socket;
    this.#program = program;
  }

  /** How to install the program; `undefined` where it is installed. */
  static get missing(): string | undefined {
    return missingProgram(PROGRAM)?.fix;
  }

  /**
   * Starts it, on one core where one is given. Rejects with `ERR_MACHINE_MISSING` where the program is not installed,
   * and `ERR_MACHINE_START` where it does not listen; nothing is left then.
   */
  static async start(disk: DaemonDisk, core: number | undefined): Promise<StorageDaemon> {
    const hint = StorageDaemon.missing;
    if (hint !== undefined) throw new CodedError('ERR_MACHINE_MISSING', `${PROGRAM} is not installed`, { hint });
    const folder = new TemporaryFolder();
    const socket = folder.pathOf('socket');
    const node = disk === 'null' ? nullNode() : fileNode(folder.createSparseFile('disk', DISK_BYTES));
    const exported = `type=vhost-user-blk,id=disk,node-name=disk,addr.type=unix,addr.path=${socket},writable=on`;
    let program: StartedProgram | undefined;
    try {
      program = await StartedProgram.start(pinned([PROGRAM, '--blockdev', node, '--export', exported], core), {
        role: 'back-end',
        hint: 'start it by hand to see what it prints',
        folder: folder.pathOf('.'),
        errorFile: folder.pathOf('errors'),
        abandon: () => folder.dispose(),
      });
      for (const end = performance.now() + START_MS; !existsSync(socket); await setTimeout(LOOK_MS))
        if (program.hasEnded || performance.now() > end) throw program.startError('does not listen');
      return new StorageDaemon(folder, socket, program);
    } catch (error) {
      await program?.end();
      folder.dispose();
      throw error;
    }
  }

  async end(): Promise<void> {
    await this.#program.end();
    this.#folder.dispose();
  }
}

function nullNode(): string {
  return `driver=null-co,node-name=disk,size=${DISK_BYTES},read-zeroes=off`;
}

function fileNode(path: string): string {
  return `driver=file,node-name=disk,filename=${path},cache.direct=off`;
}
