import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { CodedError } from '@virtio-platform/core';
import { ErrorOutput } from './error-output.ts';
import { howToInstall } from './find-program.ts';

/** How long the program may take to end after SIGTERM, and again after SIGKILL. */
const END_TIMEOUT_MS = 2000;

/** A back-end that this process started, and ends: by its own process id, on every way out. */
export class BackEndProcess {
  readonly #child: ChildProcess;
  readonly #program: string;
  readonly #errors: ErrorOutput;
  readonly #onExit: () => void;

  private constructor(child: ChildProcess, program: string, errors: ErrorOutput, onExit: () => void) {
    this.#child = child;
    this.#program = program;
    this.#errors = errors;
    this.#onExit = onExit;
    process.once('exit', onExit);
  }

  /**
   * Starts a program, the first of `command`, without a shell. `abandon` is called too should this process end first. Throws `ERR_MACHINE_MISSING`
   * when there is no such program, `ERR_MACHINE_START` when it cannot be started.
   */
  static async start(
    command: readonly string[],
    options: { readonly folder: string; readonly errorFile: string; readonly abandon: () => void },
  ): Promise<BackEndProcess> {
    const program = command[0]!;
    const errors = new ErrorOutput(options.errorFile);
    const errorFile = errors.open();
    try {
      const child = spawn(program, command.slice(1), { cwd: options.folder, stdio: ['ignore', 'ignore', errorFile] });
      // It must not keep this process running by itself.
      child.unref();
      await once(child, 'spawn');
      // A signal that cannot be sent is reported here too; `ending` tells what counts.
      child.on('error', () => {});
      return new BackEndProcess(child, program, errors, () => {
        child.kill('SIGKILL');
        options.abandon();
      });
    } catch (cause) {
      errors.dispose();
      throw startError(program, cause);
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
    return new CodedError('ERR_MACHINE_START', `the back-end ${this.#program} ${what}${printed}`, {
      hint: 'run machine.command by hand and see what it says',
    });
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

function startError(program: string, cause: unknown): CodedError {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  if (code === 'ENOENT') {
    return new CodedError('ERR_MACHINE_MISSING', `the back-end program ${program} is not installed`, {
      hint: howToInstall(program),
      cause,
    });
  }
  return new CodedError('ERR_MACHINE_START', `the back-end program ${program} cannot be started: ${String(cause)}`, {
    hint: 'machine.command has to name a program that this user may run',
    cause,
  });
}
