import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { CodedError } from '@virtio-platform/core';
import { findProgram, howToInstall, withParentDeathSignal } from './find-program.ts';
import { ErrorOutput } from './error-output.ts';
import { fileSystemError } from './file-system-error.ts';
import { endGroupGuard, guardedCommand, startGroupGuard } from './group-guard.ts';

/** Milliseconds to wait for the end after SIGTERM, and again after SIGKILL. */
const END_TIMEOUT_MS = 2000;
/** Milliseconds that processes which the program started have to end after it. */
const GROUP_GRACE_MS = 500;
const POLL_MS = 10;

/** How a program is started. */
export interface ProgramOptions {
  /** The word for the program in messages: `back-end`. */
  readonly role: string;
  /** The hint of the error where the program cannot be started or ends early. */
  readonly hint: string;
  /** The working directory of the program. */
  readonly folder: string;
  /** The path of the file for its error output. */
  readonly errorFile: string;
  /** Called where this process exits before {@link StartedProgram.end}. */
  readonly abandon: () => void;
  /** Descriptors that the program inherits, as 3 and following. The caller still closes its own. */
  readonly descriptors?: readonly number[];
}

/**
 * A program that this process started and ends on every exit, with all processes that it started itself and that stayed
 * in its process group: the group is its own. Where this process is killed, the kernel ends the program, and a
 * {@link startGroupGuard | guard} the group, from the first instruction of the program on.
 */
export class StartedProgram {
  readonly #child: ChildProcess;
  readonly #command: readonly string[];
  readonly #program: string;
  readonly #options: ProgramOptions;
  readonly #errors: ErrorOutput;
  readonly #guard: ChildProcess;
  readonly #onExit: () => void;
  #isEnding = false;

  private constructor(
    child: ChildProcess,
    guard: ChildProcess,
    command: readonly string[],
    options: ProgramOptions,
    errors: ErrorOutput,
  ) {
    this.#child = child;
    this.#command = command;
    this.#program = command[0]!;
    this.#options = options;
    this.#errors = errors;
    this.#guard = guard;
    this.#onExit = () => {
      this.#signalGroup('SIGKILL');
      options.abandon();
    };
    process.once('exit', this.#onExit);
    child.once('exit', () => {
      if (this.#isEnding) return;
      // At once: while the group has a process its id is not given to another one.
      this.#signalGroup('SIGKILL');
      this.#guard.kill('SIGKILL');
    });
  }

  /**
   * Starts the program `command[0]` without a shell. Throws `ERR_MACHINE_MISSING` where the program is not installed,
   * and `ERR_MACHINE_START` where it cannot be started.
   */
  static async start(command: readonly string[], options: ProgramOptions): Promise<StartedProgram> {
    const errors = new ErrorOutput(options.errorFile);
    const errorFile = openErrors(errors, options);
    const guard = startGroupGuard();
    try {
      const child = spawnGuarded(command, options, guard, errorFile);
      await once(child, 'spawn');
      // A failed `kill` is reported here too; `ending` has the state of the program.
      child.on('error', () => {});
      return new StartedProgram(child, guard, command, options, errors);
    } catch (cause) {
      await endGroupGuard(guard);
      errors.dispose();
      throw startError(command[0]!, options, cause);
    } finally {
      closeSync(errorFile);
    }
  }

  /**
   * Starts the program once more, without waiting for anything. The caller ends both. One that cannot be started ends
   * at once.
   */
  again(): StartedProgram {
    const errors = new ErrorOutput(this.#options.errorFile);
    const errorFile = openErrors(errors, this.#options);
    const guard = startGroupGuard();
    try {
      const child = spawnGuarded(this.#command, this.#options, guard, errorFile);
      child.on('error', () => {});
      return new StartedProgram(child, guard, this.#command, this.#options, errors);
    } finally {
      closeSync(errorFile);
    }
  }

  /** Whether the program has ended, also where the event loop did not run since. */
  get hasEnded(): boolean {
    return this.ending !== undefined || !isAlive(this.#child.pid);
  }

  /** The exit status or signal, such as `status 1`; `undefined` while the program runs. The event loop updates it. */
  get ending(): string | undefined {
    const { exitCode, signalCode } = this.#child;
    if (signalCode !== null) return signalCode;
    return exitCode === null ? undefined : `status ${exitCode}`;
  }

  /** The end of the error output. */
  stderrTail(): string {
    return this.#errors.stderrTail();
  }

  /**
   * The error of a program that failed before it was connected, with the end of its output. `what` completes the
   * sentence.
   */
  startError(what: string): CodedError {
    const tail = this.stderrTail();
    const printed = tail === '' ? '' : `; it printed: ${tail}`;
    const { role, hint } = this.#options;
    return new CodedError('ERR_MACHINE_START', `the ${role} ${this.#program} ${what}${printed}`, { hint });
  }

  /** Ends the program and its process group: by SIGTERM, then by SIGKILL. Never throws. */
  async end(): Promise<void> {
    this.#isEnding = this.ending === undefined;
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      if (this.ending !== undefined) break;
      const given = new AbortController();
      const exit = once(this.#child, 'exit', { signal: given.signal });
      this.#signalGroup(signal);
      await Promise.race([exit, setTimeout(END_TIMEOUT_MS, undefined, { signal: given.signal })]).catch(() => {});
      given.abort();
      await exit.catch(() => {});
    }
    if (this.#isEnding) await this.#endGroup();
    await endGroupGuard(this.#guard);
    process.removeListener('exit', this.#onExit);
    this.#errors.dispose();
  }

  /** Ends what the program left: after the time to end by the signal that the program itself got. */
  async #endGroup(): Promise<void> {
    for (let waited = 0; waited < GROUP_GRACE_MS && this.#signalGroup(0); waited += POLL_MS) await setTimeout(POLL_MS);
    this.#signalGroup('SIGKILL');
  }

  /** Sends a signal to the process group. Returns false where the group has no process. */
  #signalGroup(signal: NodeJS.Signals | 0): boolean {
    try {
      return process.kill(-this.#child.pid!, signal);
    } catch {
      return false;
    }
  }
}

/** Starts a program in a process group that `guard` ends. */
function spawnGuarded(
  command: readonly string[],
  options: ProgramOptions,
  guard: ChildProcess,
  errorFile: number,
): ChildProcess {
  // A program that is not there is started as it is, so that its start reports the error.
  const isThere = findProgram(command[0]!, options.folder) !== undefined;
  const [file, ...words] = isThere ? guardedCommand(withParentDeathSignal(command, options.folder)) : command;
  const child = spawn(file!, words, {
    cwd: options.folder,
    detached: true,
    stdio: [guard.stdin, 'ignore', errorFile, ...(options.descriptors ?? [])],
  });
  // A running program must not keep this process alive.
  child.unref();
  return child;
}

/** Whether a child process runs: one that ended stays in /proc until the event loop takes its status. */
function isAlive(pid: number | undefined): boolean {
  if (pid === undefined) return false;
  try {
    const status = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The state is behind the name, which may have spaces and parentheses.
    return !/^ [ZXx] /.test(status.slice(status.lastIndexOf(')') + 1));
  } catch {
    return false;
  }
}

function openErrors(errors: ErrorOutput, { errorFile }: ProgramOptions): number {
  try {
    return errors.open();
  } catch (cause) {
    throw fileSystemError(cause, `open ${errorFile}`);
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
