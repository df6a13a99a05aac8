import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SOURCE = fileURLToPath(new URL('../reference/split-ring.c', import.meta.url));

/** Samples of the C reference in nanoseconds per request, direct and with indirect tables. */
export interface ReferenceMeasurement {
  readonly compiler: string;
  readonly direct: readonly number[];
  readonly indirect: readonly number[];
}

/** Compiles and runs the C reference; without a C compiler returns `undefined`. Throws when it does not compile or run. */
export function measureReference(requests: number, samples: number): ReferenceMeasurement | undefined {
  const compiler = process.env['CC'] ?? 'cc';
  const version = spawnSync(compiler, ['--version'], { encoding: 'utf8' });
  if (version.status !== 0) return undefined;
  const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-bench-'));
  try {
    const program = join(folder, 'split-ring');
    runChecked(compiler, ['-O2', '-o', program, SOURCE]);
    const sample = (indirect: 0 | 1): number[] =>
      runChecked(program, [`${requests}`, `${samples}`, `${indirect}`])
        .trim()
        .split('\n')
        .map(Number);
    return { compiler: version.stdout.split('\n')[0]!, direct: sample(0), indirect: sample(1) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Runs a program to its end and returns what it printed. */
export function runChecked(program: string, parameters: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, parameters, { encoding: 'utf8' });
  if (status === 0) return stdout;
  throw new Error(`${program} ${parameters.join(' ')} ended with status ${status}: ${stderr}`, { cause: error });
}
