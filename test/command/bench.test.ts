import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { commandHere, commandProcess, virtioPlatform } from './command.ts';

/** As little as shows that all of it works. */
const LITTLE = ['--processes', '2', '--requests', '500', '--samples', '2', '--seconds', '1'];
const CASE = 'ends/split/driver/1-descriptor/batch-32';

/** Whether the C references can be compiled here. CI installs a compiler and must not skip. */
const hasCompiler = spawnSync(process.env['CC'] ?? 'cc', ['--version']).status === 0 || process.env['CI'] !== undefined;

interface PrintedReport {
  readonly machine: { readonly compiler: string | null };
  readonly results: readonly {
    readonly id: string;
    readonly figures: readonly { readonly subject: string; readonly best: number; readonly ratio: number }[];
  }[];
}

/** What is printed on a slow machine while nothing else is. */
function withoutProgress(text: string): string {
  return text.replace(/^case \d+ of \d+, .*\n/gm, '');
}

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-bench-command-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('bench', () => {
  it.skipIf(!hasCompiler)(
    'measures ends against C and peers, writes a report and a page, and compares (needs a C compiler: apt-get install gcc libc6-dev)',
    async () => {
      const [saved, peers, page] = ['saved.json', 'peers.json', 'page.html'].map((name) => join(folder, name));
      const first = await commandHere(['bench', 'ends', '--filter', CASE, ...LITTLE, '--json']);
      expect([first.status, withoutProgress(first.stderr)]).toEqual([0, '']);
      const report: PrintedReport = JSON.parse(first.stdout);
      expect(report.machine.compiler).not.toBe(null);
      expect(report.results.map(({ id }) => id)).toEqual([CASE]);
      expect(report.results[0]!.figures.map(({ subject }) => subject)).toEqual([
        'virtio-platform',
        'C, every check',
        'C, no check',
      ]);

      // As if it had taken a hundredth of the time before.
      const own = report.results[0]!.figures[0]!.best;
      const before = JSON.stringify(report, (key, value: unknown) =>
        key === 'best' && value === own ? own / 100 : value,
      );
      writeFileSync(saved!, before);
      writeFileSync(
        peers!,
        JSON.stringify({ schemaVersion: 1, peers: [{ name: 'another ring', figures: { [CASE]: [1e6] } }] }),
      );
      const words = ['bench', '--filter', CASE, ...LITTLE, '--peers', peers!, '--html', page!];
      const second = await commandHere([...words, '--compare', saved!], folder, 80);
      expect(second.status).toBe(0);
      expect(second.stdout).toContain('[3]: times another ring');
      expect(second.stdout).toContain(`since ${saved!}`);
      const table = second.stdout.split('\n').filter((line) => !line.startsWith('since'));
      expect(table.filter((line) => line.length > 80)).toEqual([]);
      const html = readFileSync(page!, 'utf8');
      expect(html).toContain('<li>another ring</li>');
      expect(html).toContain(CASE);
    },
  );

  it('says so when there is no C compiler, and prints the rest', async () => {
    const words = ['bench', 'ends', 'start', '--filter', '/batch-1$|help/', '--filter', 'start/help', ...LITTLE];
    const { status, stdout } = await virtioPlatform([...words, '--processes', '1'], { CC: 'no-such-compiler' });
    expect(status).toBe(0);
    expect(stdout).toContain('Nothing is compared with C');
    expect(stdout).toMatch(/^case +ns noise bytes$/m);
    expect(stdout.match(/^(?:split|packed)\/\S+ +[-\d.,]+ +0 % +[-\d.,]+$/gm)).toHaveLength(8);
    expect(stdout).toMatch(/^help +[-\d.,]+ +0 % +[-\d.,]+$/m);
  });

  it('lists its cases, as lines and as an array', async () => {
    const { stdout } = await commandHere(['bench', '--list', 'queues']);
    expect(stdout.split('\n')).toContain('queues/packed/64');
    const listed: readonly { id: string }[] = JSON.parse((await commandHere(['bench', '--list', '--json'])).stdout);
    expect(listed.length).toBeGreaterThan(100);
    expect(listed.find(({ id }) => id === CASE)).toEqual({
      id: CASE,
      part: 'ends',
      unit: 'ns/request',
      axes: { layout: 'split', end: 'driver', descriptors: 1, batch: 32 },
      subjects: ['virtio-platform', 'C, every check', 'C, no check'],
    });
  });

  it('ends with 2 where it is asked for what it has not, before anything is measured', async () => {
    writeFileSync(join(folder, 'broken.json'), '{}');
    const wrong = [
      [['end'], 'Allowed choices'],
      [['--samples', '0'], 'A whole number'],
      [['--filter', 'nothing-like-it'], 'ERR_BENCH_CASE'],
      [['--compare', join(folder, 'broken.json')], 'ERR_BENCH_FILE'],
      [['--peers', join(folder, 'broken.json')], 'ERR_BENCH_FILE'],
    ] as const;
    for (const [words, said] of wrong) {
      const { status, stdout, stderr } = await commandHere(['bench', ...words]);
      expect([status, stdout], words.join(' ')).toEqual([2, '']);
      expect(stderr).toContain(said);
    }
  });

  it('ends with the signal, and leaves no process and no folder', async () => {
    const temporary = mkdtempSync(join(folder, 'tmp-'));
    const words = ['bench', 'latency', '--filter', 'legacy/split', '--seconds', '60'];
    const { process: child, finished } = commandProcess(words, { TMPDIR: temporary });
    await new Promise<void>((resolve) => child.stdout!.once('data', () => resolve()));
    child.kill('SIGTERM');
    const { status, stderr } = await finished;
    expect(status).toBe(143);
    expect(stderr).toContain('SIGTERM: what was not measured is left out');
    expect(spawnSync('ls', [temporary], { encoding: 'utf8' }).stdout).toBe('');
  });
});
