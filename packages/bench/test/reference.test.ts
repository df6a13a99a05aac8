import { execFileSync, spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { StorageDaemon } from '@virtio-platform/bench';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const CC = process.env['CC'] ?? 'cc';
/** Whether the references can be compiled here. CI installs a compiler and must not skip. */
const hasCompiler = spawnSync(CC, ['--version']).status === 0 || process.env['CI'] !== undefined;
const LAYOUTS = ['split', 'packed'] as const;

/** What both layouts refuse, by what is tried. */
const COMMON = {
  'no rule': 'nothing',
  'outside of the region': 'bytes outside of the region',
  'empty segment': 'an empty segment',
  'readable behind writable': 'a readable segment behind a writable one',
  'too many segments': 'too many segments',
  'no segment': 'a request without a segment',
  'pushed twice': 'a buffer that is not in flight',
  'used id unknown': 'the used id is not outstanding',
  'used id not outstanding': 'the used id is not outstanding',
  'used id not published': 'the used id is not published',
  'used length': 'more written than is writable',
  'empty descriptor': 'an empty descriptor',
  order: 'a readable descriptor behind a writable one',
};
const REFUSED = {
  split: {
    ...COMMON,
    'used.idx': 'used.idx out of range',
    'avail.idx': 'avail.idx out of range',
    'available entry unknown': 'a bad available entry',
    'available twice': 'a bad available entry',
    'chain loops': 'a chain longer than the queue',
    next: 'next out of range',
    'table not negotiated': 'an indirect descriptor with a next one',
  },
  packed: {
    ...COMMON,
    'id unknown': 'a bad buffer id',
    'in flight twice': 'a bad buffer id',
    'not available': 'a descriptor of a list is not available',
    'table not negotiated': 'a table in a list of descriptors',
    'table in a list': 'a table in a list of descriptors',
  },
};

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-bench-test-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Compiles a program without a warning, and returns its path. */
function compiled(source: string, name: string, ...flags: readonly string[]): string {
  const program = join(folder, name);
  const path = fileURLToPath(new URL(source, import.meta.url));
  execFileSync(CC, ['-O2', '-Wall', '-Wextra', '-Werror', '-pthread', ...flags, '-o', program, path]);
  return program;
}

describe.skipIf(!hasCompiler)('the references in C (need a C compiler: apt-get install gcc libc6-dev)', () => {
  it.each(LAYOUTS)('refuse what the ring refuses: %s', (layout) => {
    const printed = execFileSync(compiled(`./reference/${layout}-rules.c`, `${layout}-rules`), { encoding: 'utf8' });
    const seen = Object.fromEntries(
      printed
        .trim()
        .split('\n')
        .map((line) => line.split(': ')),
    );
    expect(seen).toEqual(REFUSED[layout]);
  });

  it.each(LAYOUTS.flatMap((layout) => [0, 1].map((checks) => ({ layout, checks }))))(
    'measure each end, both, and two threads: $layout, checks $checks',
    ({ layout, checks }) => {
      const program = compiled(`../reference/${layout}.c`, `${layout}-${checks}`, `-DCHECKS=${checks}`);
      const modes = ['driver', 'device', 'both', 'threads'];
      for (const mode of modes) {
        for (const [size, batch, descriptors] of [
          [256, 32, 3],
          [16, 1, 1],
          [32, 8, 3],
        ]) {
          for (const indirect of mode === 'both' ? [0, 1] : [0]) {
            const words = [mode, size, batch, descriptors, indirect, 100, 2].map(String);
            const lines = execFileSync(program, words, { encoding: 'utf8' }).trim().split('\n');
            expect(lines).toHaveLength(2);
            for (const line of lines) expect(line).toMatch(/^\d+\.\d{3} \d+\.\d{3}$/);
          }
        }
      }
      expect(spawnSync(program, ['driver', '16', '8', '3', '0', '1', '1']).status).toBe(1);
    },
  );

  it.skipIf(StorageDaemon.missing !== undefined && process.env['CI'] === undefined)(
    'drive a disk of a back-end, and refuse where there is none (needs qemu-storage-daemon: qemu-system-common)',
    async () => {
      const program = compiled('../reference/front-end.c', 'front-end');
      const daemon = await StorageDaemon.start('null', undefined);
      const run = (socket: string, depth: number): SpawnSyncReturns<string> =>
        spawnSync(program, [socket, `${depth}`, '50', '2'], { encoding: 'utf8' });
      try {
        // The daemon serves one front-end after the other.
        for (const depth of [1, 32]) expect(run(daemon.socket, depth).stdout).toMatch(/^(?:\d+\.\d{3} 0\n){2}$/);
        expect(run(daemon.socket, 0)).toMatchObject({ status: 1, stderr: 'reference: a depth that is impossible\n' });
      } finally {
        await daemon.end();
      }
      expect(run(daemon.socket, 1)).toMatchObject({ status: 1, stderr: 'reference: no back-end\n' });
    },
  );
});
