import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { CodedError } from '@virtio-platform/core';
import { endedWithParent } from './ended-with-parent.ts';
import { ErrorOutput } from './error-output.ts';
import { howToInstall } from './find-program.ts';

/** How long the program may take to end after SIGTERM, and again after SIGKILL. */
const END_TIMEOUT_MS = 2000;

export interface ProgramOptions {
  /** What messages call it: `back-end`. */
  readonly role: string;
  /** What to do when it cannot be started or ends early. */
  readonly hint: string;
  /** The folder it runs in. */
  readonly folder: string;
  /** Where its error output goes. */
  readonly errorFile: string;
  /** Called too should this process end first. */
  readonly abandon: () => void;
  /** Descriptors that the program has as 3 and following. They stay the caller's too. */
  readonly descriptors?: readonly number[];
}

/** A program that this process started, and ends: by its own process id, on every way out. Should this process be killed, the kernel does. */
export class StartedProgram {
  readonly #child: ChildProcess;
  readonly #program: string;
  readonly #options: ProgramOptions;
  readonly #errors: ErrorOutput;
  readonly #onExit: () => void;

  private constructor(child: ChildProcess, program: string, options: ProgramOptions, errors: ErrorOutput) {
    this.#child = child;
    this.#program = program;
    this.#options = options;
    this.#errors = errors;
    this.#onExit = () => {
      child.kill('SIGKILL');
      options.abandon();
    };
    process.once('exit', this.#onExit);
  }

  /**
   * Starts a program, the first of `command`, without a shell. Throws `ERR_MACHINE_MISSING` when there is no such program,
   * `ERR_MACHINE_START` when it cannot be started.
   */
  static async start(command: readonly string[], options: ProgramOptions): Promise<StartedProgram> {
    const program = command[0]!;
    const errors = new ErrorOutput(options.errorFile);
    const errorFile = errors.open();
    try {
      const [file, ...words] = endedWithParent(command, options.folder);
      const child = spawn(file!, words, {
        cwd: options.folder,
        stdio: ['ignore', 'ignore', errorFile, ...(options.descriptors ?? [])],
      });
      // It must not keep this process running by itself.
      child.unref();
      await once(child, 'spawn');
      // A signal that cannot be sent is reported here too; `ending` tells what counts.
      child.on('error', () => {});
      return new StartedProgram(child, program, options, errors);
    } catch (cause) {
      errors.dispose();
      throw startError(program, options, cause);
    } finally {
      closeSync(errorFile);
    }
  }

  /** How it ended, such as `status 1`; `undefined` while it runs. Up to date once the event loop has run. */
  get ending(): string | undefined {
    const { exitCode, signalCode } = this.#child;
    if (signalCode !== null) return signalCode;
    return exitCode === null ? undefined : `status ${exitCode}`;
  }

  /** The end of what it printed to its error output. */
  lastWords(): string {
    return this.#errors.lastWords();
  }

  /** The error for a program that did not get as far as a connection. */
  startError(what: string): CodedError {
    const words = this.lastWords();
    const printed = words === '' ? '' : `; it printed: ${words}`;
    const { role, hint } = this.#options;
    return new CodedError('ERR_MACHINE_START', `the ${role} ${this.#program} ${what}${printed}`, { hint });
  }

  /** Ends it: SIGTERM, then SIGKILL. Never throws. */
  async end(): Promise<void> {
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      if (this.ending !== undefined) break;
      const given = new AbortController();
      const exit = once(this.#child, 'exit', { signal: given.signal });
      this.#child.kill(signal);
      await Promise.race([exit, setTimeout(END_TIMEOUT_MS, undefined, { signal: given.signal })]).catch(() => {});
      given.abort();
      await exit.catch(() => {});
    }
    process.removeListener('exit', this.#onExit);
    this.#errors.dispose();
  }
}

function startError(program: string, { role, hint }: ProgramOptions, cause: unknown): CodedError {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  if (code === 'ENOENT') {
    return new CodedError('ERR_MACHINE_MISSING', `the ${role} program ${program} is not installed`, {
      hint: howToInstall(program),
      cause,
    });
  }
  return new CodedError('ERR_MACHINE_START', `the ${role} program ${program} cannot be started: ${String(cause)}`, {
    hint,
    cause,
  });
}
