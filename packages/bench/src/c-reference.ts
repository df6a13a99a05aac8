import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { RingEndOptions } from './ring-end.ts';

const FOLDER = new URL('../reference/', import.meta.url);

/** Samples of one end in C, in nanoseconds per request: with the loop that plays the other end, and that loop alone. */
export interface ReferenceEnd {
  readonly whole: readonly number[];
  readonly peer: readonly number[];
}

/** The same rings in C: programs that are compiled when they are first needed, and deleted by `dispose`. */
export class CReference {
  /** First line of what the compiler says about itself. */
  readonly compiler: string;
  readonly #command: string;
  readonly #folder: string = mkdtempSync(join(tmpdir(), 'virtio-platform-bench-'));
  readonly #programs = new Map<string, string>();

  private constructor(command: string, compiler: string) {
    this.#command = command;
    this.compiler = compiler;
  }

  /** Returns `undefined` without a C compiler, which is `$CC` or `cc`. */
  static open(): CReference | undefined {
    const command = process.env['CC'] ?? 'cc';
    const { status, stdout } = spawnSync(command, ['--version'], { encoding: 'utf8' });
    return status === 0 ? new CReference(command, stdout.split('\n')[0]!) : undefined;
  }

  /**
   * Both ends of a split ring in one thread: samples in nanoseconds per request. Throws when it does not compile or
   * run.
   */
  measureLoop(indirect: boolean, requests: number, samples: number): readonly number[] {
    return this.#run('ring-loop', [`${requests}`, `${samples}`, indirect ? '1' : '0']).map(([time]) => time!);
  }

  /** One end of a ring. Throws when it does not compile or run. */
  measureEnd({ layout, end, descriptors }: RingEndOptions, requests: number, samples: number): ReferenceEnd {
    const lines = this.#run(`${layout}-end`, [end, `${descriptors}`, `${requests}`, `${samples}`]);
    return { whole: lines.map(([whole]) => whole!), peer: lines.map(([, peer]) => peer!) };
  }

  dispose(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Runs a program of `reference/` and returns the numbers it printed, line by line. */
  #run(name: string, parameters: readonly string[]): number[][] {
    let program = this.#programs.get(name);
    if (program === undefined) {
      program = join(this.#folder, name);
      runChecked(this.#command, ['-O2', '-o', program, fileURLToPath(new URL(`${name}.c`, FOLDER))]);
      this.#programs.set(name, program);
    }
    return runChecked(program, parameters)
      .trim()
      .split('\n')
      .map((line) => line.split(' ').map(Number));
  }
}

/** Runs a program to its end and returns what it printed. */
export function runChecked(program: string, parameters: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, parameters, { encoding: 'utf8' });
  if (status === 0) return stdout;
  throw new Error(`${program} ${parameters.join(' ')} ended with status ${status}: ${stderr}`, { cause: error });
}
