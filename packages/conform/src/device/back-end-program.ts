import { rmSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { StartedProgram, TemporaryFolder } from '@virtio-platform/host';
import type { Profile } from '@virtio-platform/profile';

/** In an argument of a command: what a vhost-user machine replaces there too. */
const SOCKET = '{socket}';
const IMAGE = '{image}';
/** How long a back-end may take to listen. */
const START_MS = 10_000;
const POLL_MS = 5;
/** How long the end of a program may take to be known after its connection ended. */
const ENDING_MS = 200;
const LONGEST_ENDING_MS = 3000;

/**
 * The back-end that the command of a vhost-user profile starts. It outlives a connection, so that a case sees whether
 * it serves the next one, and is started again once it ended.
 */
export class BackEndProgram {
  /** The profile, with the socket of the program in the place of its command. */
  readonly profile: Profile;
  readonly #command: readonly string[];
  readonly #folder: TemporaryFolder;
  readonly #socket: string;
  readonly #errorFile: string;
  readonly #baseFolder: string;
  #program: StartedProgram | undefined;
  /** Whether it ends with its connection; `undefined` where none has ended yet. */
  #lifetime: 'stays' | 'ends' | undefined;

  private constructor(profile: Profile, command: readonly string[], folder: TemporaryFolder) {
    this.#folder = folder;
    this.#socket = folder.pathOf('socket');
    this.#errorFile = folder.pathOf('stderr');
    this.#baseFolder = dirname(profile.file);
    const image = command.some((word) => word.includes(IMAGE)) ? imageOf(profile, folder) : '';
    this.#command = command.map((word) => word.replaceAll(SOCKET, this.#socket).replaceAll(IMAGE, image));
    const options = { ...profile.machine.options, socket: this.#socket };
    this.profile = { ...profile, machine: { ...profile.machine, options: { ...options, command: undefined } } };
  }

  /** The program of a profile; `undefined` for a profile whose machine has no command with a socket. */
  static of(profile: Profile): BackEndProgram | undefined {
    const command: unknown = profile.machine.options['command'];
    const isWords = Array.isArray(command) && command.every((word): word is string => typeof word === 'string');
    if (!isWords || !command.some((word) => word.includes(SOCKET))) return undefined;
    const folder = new TemporaryFolder();
    try {
      return new BackEndProgram(profile, command, folder);
    } catch (error) {
      folder.dispose();
      throw error;
    }
  }

  /** The path of the socket on which it listens. */
  get socket(): string {
    return this.#socket;
  }

  /** How it ended; `undefined` while it runs. */
  get ending(): string | undefined {
    return this.#program?.ending;
  }

  /** The end of its error output, since it was started last. */
  get errorOutput(): string {
    return this.#program?.stderrTail() ?? '';
  }

  /**
   * Starts the program unless it runs, and waits until it listens. Throws `ERR_MACHINE_START` and
   * `ERR_MACHINE_MISSING`, and the reason of the signal.
   */
  async run(signal?: AbortSignal): Promise<void> {
    if (this.#program !== undefined && this.ending === undefined) return;
    if (this.ending?.startsWith('status') === true) this.#lifetime = 'ends';
    await this.stop();
    rmSync(this.#socket, { force: true });
    // What the one before printed is no word of this one.
    rmSync(this.#errorFile, { force: true });
    this.#program = await StartedProgram.start(this.#command, {
      role: 'back-end',
      hint: 'run the command by hand, with the path of a socket in the place of {socket}, and see what it says',
      folder: this.#baseFolder,
      errorFile: this.#errorFile,
      abandon: () => this.#folder.dispose(),
    });
    const deadline = performance.now() + START_MS;
    while (statSync(this.#socket, { throwIfNoEntry: false }) === undefined) {
      signal?.throwIfAborted();
      const program = this.#program;
      if (program.ending !== undefined) throw program.startError(`ended with ${program.ending} before it listened`);
      if (performance.now() > deadline) throw program.startError(`did not listen in ${START_MS} ms`);
      await setTimeout(POLL_MS);
    }
    // Between bind and listen the file is there and takes no connection.
    await setTimeout(POLL_MS);
  }

  /**
   * Some back-ends end with their connection. Gives the news of that time to come: one that stays is given the time
   * once, and one that was seen to end more of it.
   */
  async mayHaveEnded(): Promise<void> {
    if (this.#program === undefined || this.#lifetime === 'stays') return;
    const deadline = performance.now() + (this.#lifetime === 'ends' ? LONGEST_ENDING_MS : ENDING_MS);
    while (this.ending === undefined && performance.now() < deadline) await setTimeout(1);
    this.#lifetime = this.ending === undefined ? 'stays' : 'ends';
  }

  /** Ends the program. Never throws. */
  async stop(): Promise<void> {
    const program = this.#program;
    this.#program = undefined;
    await program?.end();
  }

  /** Ends the program and removes its files. Never throws. */
  async dispose(): Promise<void> {
    await this.stop();
    this.#folder.dispose();
  }
}

/** The image of the profile, or an empty one. */
function imageOf({ device, file }: Profile, folder: TemporaryFolder): string {
  const image = device.type.image?.(device.settings);
  if (image?.path !== undefined) return resolve(dirname(file), image.path);
  return folder.createSparseFile('image', image?.capacity ?? 0);
}
