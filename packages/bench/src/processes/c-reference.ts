import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pinned } from './pinned-core.ts';
import type { ProcessPlace } from './measuring-process.ts';
import { runProgram } from './run-program.ts';

const FOLDER = new URL('../../reference/', import.meta.url);

/** A program of `reference/`, and whether it checks what the ring checks, or nothing. */
export interface ReferenceProgram {
  readonly name: 'split' | 'packed' | 'copy' | 'front-end';
  readonly isChecked: boolean;
}

/** Samples in nanoseconds per request: with the loop that plays the other end, and of that loop alone. */
export interface ReferenceSamples {
  readonly nanoseconds: readonly number[];
  readonly peerNanoseconds: readonly number[];
}

/** The same rings in C: programs that are compiled when they are first needed, and deleted by `dispose`. */
export class CReference {
  /** First line of what the compiler says about itself. */
  readonly compiler: string;
  readonly #command: string;
  readonly #folder: string = mkdtempSync(join(tmpdir(), 'virtio-platform-bench-'));
  readonly #programs = new Map<string, Promise<string>>();

  private constructor(command: string, compiler: string) {
    this.#command = command;
    this.compiler = compiler;
  }

  /** Returns `undefined` without a C compiler, which is `$CC` or `cc`. */
  static async open(): Promise<CReference | undefined> {
    const command = process.env['CC'] ?? 'cc';
    try {
      const [version = ''] = (await runProgram(command, ['--version'])).split('\n');
      return new CReference(command, version);
    } catch {
      return undefined;
    }
  }

  /** Runs a program. Rejects with {@link CodedError} `ERR_BENCH_PROCESS` where it does not compile or run. */
  async measure(
    program: ReferenceProgram,
    parameters: readonly string[],
    { core, signal }: ProcessPlace = {},
  ): Promise<ReferenceSamples> {
    const [first = '', ...others] = pinned([await this.#compiled(program), ...parameters], core);
    const printed = await runProgram(first, others, signal);
    const lines = printed.trim().split('\n');
    const samples = lines.map((line) => line.split(' ').map(Number));
    return {
      nanoseconds: samples.map(([whole]) => whole!),
      peerNanoseconds: samples.map(([, peer]) => peer!),
    };
  }

  dispose(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #compiled({ name, isChecked }: ReferenceProgram): Promise<string> {
    const checks = `-DCHECKS=${isChecked ? 1 : 0}`;
    const program = join(this.#folder, `${name}${checks}`);
    const source = fileURLToPath(new URL(`${name}.c`, FOLDER));
    const known = this.#programs.get(program);
    if (known !== undefined) return known;
    const parameters = ['-O2', '-pthread', checks, '-o', program, source];
    const compiled = runProgram(this.#command, parameters).then(() => program);
    this.#programs.set(program, compiled);
    return compiled;
  }
}
