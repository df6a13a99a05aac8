import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { MEASURED_PLATFORMS, RECORDED_ENDS, RING_ENDS, TWO_THREADS } from '@virtio-platform/bench';
import { describe, expect, it } from 'vitest';

const MAIN = fileURLToPath(new URL('../dist/main.js', import.meta.url));
const TIMEOUT_MS = 60_000;

interface Measured {
  readonly nanosecondsPerRequest: number;
  readonly ratio?: number;
}

/** What `--json` prints, as far as it is looked at here. */
interface Printed {
  readonly cores: number;
  readonly compiler: string;
  readonly ends?: readonly Measured[];
  readonly threads?: readonly Measured[];
  readonly recorder?: readonly Measured[];
  readonly platforms?: readonly (Measured & { readonly platform: string })[];
}

function bench(
  parameters: string[],
  environment: Record<string, string> = {},
): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [MAIN, ...parameters], {
    encoding: 'utf8',
    env: { ...process.env, ...environment },
  });
}

function benchAsJson(parts: string[]): Printed {
  const { status, stdout, stderr } = bench([...parts, '--requests', '500', '--samples', '2', '--json']);
  expect(stderr).toBe('');
  expect(status).toBe(0);
  const printed: Printed = JSON.parse(stdout);
  return printed;
}

/** Whether the C reference can be compiled here. CI installs a compiler and must not skip. */
const hasCompiler = spawnSync(process.env['CC'] ?? 'cc', ['--version']).status === 0 || process.env['CI'] !== undefined;

describe('npm run bench', () => {
  it.skipIf(!hasCompiler)(
    'prints a result for each end and each pair of threads, ends as ratio to C (needs a C compiler: apt-get install gcc libc6-dev)',
    () => {
      const { cores, compiler, ends, threads, platforms } = benchAsJson(['ends', 'threads']);
      expect(cores).toBe(availableParallelism());
      expect(compiler).not.toBe('');
      expect(ends).toMatchObject(RING_ENDS);
      expect(threads).toMatchObject(TWO_THREADS);
      expect(platforms).toBeUndefined();
      for (const { nanosecondsPerRequest } of threads!) expect(nanosecondsPerRequest).toBeGreaterThan(0);
      for (const { ratio } of ends!) expect(ratio).toEqual(expect.any(Number));
    },
    2 * TIMEOUT_MS,
  );

  it.skipIf(!hasCompiler)(
    'prints a result for each loop under each platform, as ratio to C (needs a C compiler: apt-get install gcc libc6-dev)',
    () => {
      const { platforms, ends } = benchAsJson(['platforms']);
      expect(ends).toBeUndefined();
      expect(platforms!.map(({ platform }) => platform)).toEqual(
        [...MEASURED_PLATFORMS.keys()].flatMap((name) => Array<string>(8).fill(name)),
      );
      for (const { nanosecondsPerRequest, ratio } of platforms!) {
        expect(nanosecondsPerRequest).toBeGreaterThan(0);
        expect(ratio).toBeGreaterThan(0);
      }
    },
    2 * TIMEOUT_MS,
  );

  it(
    'prints a result for each end as it is recorded, as ratio to the one that is not',
    () => {
      const { recorder } = benchAsJson(['recorder']);
      expect(recorder).toMatchObject(
        RECORDED_ENDS.map(({ layout, end, recorder: by }) => ({ layout, end, recorder: by })),
      );
      for (const { nanosecondsPerRequest, ratio } of recorder!) {
        expect(nanosecondsPerRequest).toBeGreaterThan(0);
        expect(ratio).toBeGreaterThan(0);
      }
    },
    2 * TIMEOUT_MS,
  );

  it(
    'says so when there is no C compiler, and prints the rest',
    () => {
      const { status, stdout } = bench(['ends', '--requests', '500', '--samples', '1'], {
        CC: 'no-such-compiler',
      });
      expect(status).toBe(0);
      expect(stdout).toContain('No C compiler was found');
      // Columns C and times C.
      expect(stdout.match(/^(?:split|packed) .* - +-$/gm)).toHaveLength(RING_ENDS.length);
    },
    TIMEOUT_MS,
  );

  it(
    'explains itself and ends with 2 when it is used wrongly',
    () => {
      for (const parameters of [['--requests', 'many'], ['--samples', '0'], ['--fast'], ['end']]) {
        const { status, stderr } = bench(parameters);
        expect(status).toBe(2);
        expect(stderr).toContain('usage: npm run bench');
      }
    },
    TIMEOUT_MS,
  );
});
