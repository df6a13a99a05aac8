import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommandLine } from '@virtio-platform/cli';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT, withoutProgress } from '../command/command.ts';

const TEXT = readFileSync(join(ROOT, 'packages/cli/docs/reporters.md'), 'utf8');
const blocks = [...TEXT.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, text]) => text!.trimEnd().split('\n'));
const commands = blocks.map((line) => line.replace(/ +#.*$/, ''));

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
  const base = join(ROOT, 'profiles/pseries-linear.yaml');
  writeFileSync(join(folder, 'mine.yaml'), `extends: ${base}\nprofile: mine\nworkload: { requests: 10, depth: 4 }\n`);
});
afterAll(() => rmSync(folder, { recursive: true }));

async function commandWith(line: string): Promise<{ status: number; stdout: string; stderr: string }> {
  const result = { status: 0, stdout: '', stderr: '' };
  const [input, command] = line.includes(' | ') ? line.split(' | ') : [undefined, line];
  const [, ...words] = [...command.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!);
  const stream = (name: 'stdout' | 'stderr'): { write(text: string): boolean } => ({
    write: (text) => (result[name] += text) !== '',
  });
  const streams = { stdout: stream('stdout'), stderr: stream('stderr'), cwd: folder };
  const file = input === undefined ? undefined : readFileSync(join(folder, input.replace('cat ', '')));
  result.status = await runCommandLine(words, streams, {
    input: file === undefined ? undefined : ReadableStream.from([file]),
  });
  return result;
}

describe('the page on reporters', () => {
  it.each(commands)('has a command that works: %s', async (line) => {
    const { status, stdout, stderr } = await commandWith(line);
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout.length).toBeGreaterThan(line.includes('github') ? -1 : 40);
  });

  it('names every reporter', async () => {
    const { stdout } = await commandWith('virtio-platform run --help');
    const named = [...TEXT.matchAll(/^\| `(\w+)` \| /gm)].map(([, name]) => name!);
    for (const name of named.filter((name) => name !== 'leak' && name !== 'difference'))
      expect(stdout.replaceAll(/\s+/g, ' ')).toContain(name);
    expect(named).toContain('github');
  });

  it('shows what a failure looks like', async () => {
    const { stdout } = await commandWith(
      'virtio-platform run mine.yaml --set expect.path=identity --set matrix=[] --filter mine --seed 7',
    );
    const shown = TEXT.slice(TEXT.indexOf('FAIL   12 ms'), TEXT.indexOf('```', TEXT.indexOf('FAIL   12 ms')));
    const printed = withoutProgress(stdout.slice(0, stdout.indexOf(' --set')));
    expect(printed.replace(/ +\d+ ms {2}seed 7, /, '   12 ms  ').replace(/ +\d+ ms/, '   12 ms')).toBe(shown.trimEnd());
  });
});
