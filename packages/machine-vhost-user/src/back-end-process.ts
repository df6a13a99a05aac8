import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { CodedError } from '@virtio-platform/core';
import { howToInstall } from './find-program.ts';

/** How long the program may take to end after SIGTERM, and again after SIGKILL. */
const END_TIMEOUT_MS = 2000;
/** How much of what it printed last is kept for messages. */
const LAST_WORDS_BYTES = 4096;

/**
 * A back-end that this process started, and ends: by its own process id, on every way out. Its error output goes to a file,
 * so that it can be read while this process waits in a system call, and the program never waits for a reader.
 */
export class BackEndProcess {
  readonly #child: ChildProcess;
  readonly #program: string;
  readonly #errorFile: string;
  readonly #onExit: () => void;

  private constructor(child: ChildProcess, program: string, errorFile: string, onExit: () => void) {
    this.#child = child;
    this.#program = program;
    this.#errorFile = errorFile;
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
    const errors = openSync(options.errorFile, 'a', 0o600);
    try {
      const child = spawn(program, command.slice(1), { cwd: options.folder, stdio: ['ignore', 'ignore', errors] });
      // It must not keep this process running by itself.
      child.unref();
      await once(child, 'spawn');
      // A signal that cannot be sent is reported here too; `ending` tells what counts.
      child.on('error', () => {});
      return new BackEndProcess(child, program, options.errorFile, () => {
        child.kill('SIGKILL');
        options.abandon();
      });
    } catch (cause) {
      throw startError(program, cause);
    } finally {
      closeSync(errors);
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
    try {
      const file = openSync(this.#errorFile, 'r');
      try {
        const { size } = fstatSync(file);
        const bytes = Buffer.alloc(Math.min(size, LAST_WORDS_BYTES));
        const length = readSync(file, bytes, 0, bytes.length, size - bytes.length);
        return bytes.toString('utf8', 0, length).trim();
      } finally {
        closeSync(file);
      }
    } catch {
      return '';
    }
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
