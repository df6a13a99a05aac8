import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCommandLine } from '@virtio-platform/cli';
import { CollectedText, ROOT } from './command.ts';

/** Says, on the error output, which modules a process loads. */
const HOOK = `
import { writeSync } from 'node:fs';
export async function load(url, context, next) {
  if (!url.startsWith('node:')) writeSync(2, 'LOADS ' + url + '\\n');
  return await next(url, context);
}`;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(ROOT, 'test', '.outside-'));
  writeFileSync(join(folder, 'hook.mjs'), HOOK);
  const hook = JSON.stringify(pathToFileURL(join(folder, 'hook.mjs')).href);
  writeFileSync(join(folder, 'register.mjs'), `import { register } from 'node:module';\nregister(${hook});\n`);
});
afterAll(() => rmSync(folder, { recursive: true }));

/** What a program prints, and the modules that it loads, relative to the repository. */
function started(main: string, words: readonly string[] = []): { stdout: string; modules: readonly string[] } {
  const options = ['--import', join(folder, 'register.mjs')];
  const env = { ...process.env, NODE_OPTIONS: '' };
  const result = spawnSync(process.execPath, [...options, main, ...words], { cwd: ROOT, encoding: 'utf8', env });
  expect([result.status, result.stderr.replaceAll(/^LOADS .*\n/gm, '')]).toEqual([0, '']);
  const modules = Array.from(result.stderr.matchAll(/^LOADS file:\/\/(.*)$/gm), ([, path]) => relative(ROOT, path!));
  return { stdout: result.stdout, modules };
}

const MAIN = join(ROOT, 'packages/cli/dist/main.js');
const PROFILE = 'profiles/pseries-linear.yaml';

/** The packages that check a profile of a block device behind pseries. */
const CHECKING = [
  'cli',
  'core',
  'device-block',
  'device-kit',
  'machine-simulated',
  'mmio',
  'options',
  'platform-pseries',
  'profile',
  'runner',
];

describe('what the published command loads', () => {
  it.each([
    ['--help', ['--help'], 10, ['cli', 'core', 'runner']],
    ['check', ['check', PROFILE], 40, CHECKING],
    ['explain', ['explain', PROFILE], 50, [...CHECKING, 'dma-sanitizer', 'session', 'trace']],
  ])('of libraries nothing, and of packages what it needs: %s', (_, words, most, packages) => {
    const { modules } = started(MAIN, words);
    expect(modules.filter((path) => path.includes('node_modules'))).toEqual([]);
    const loaded = new Set(modules.map((path) => path.split('/')[1]));
    expect([...loaded].filter((name) => name === undefined || !packages.includes(name))).toEqual([]);
    expect(modules.length).toBeLessThanOrEqual(most);
  });

  it('for --help no queue, no schema and no plugin contract', () => {
    const { modules } = started(MAIN, ['--help']);
    const others = modules.filter((path) => !path.startsWith('packages/cli/') && !path.includes('/rolldown-runtime-'));
    expect(others.toSorted()).toEqual([
      'packages/core/dist/errors/index.js',
      'packages/core/dist/queue/inlining-budget.js',
      'packages/runner/dist/report/tool-version.js',
    ]);
  });
});

describe('what loops over many requests need at the start', () => {
  const MACHINE = `
import simulated from '@virtio-platform/machine-simulated';
import { MACHINE } from '@virtio-platform/core';
const boot = async () => { throw new RangeError('boot says no'); };
export default { ...simulated, name: 'throws', register(container) {
  container.register(MACHINE, { useFactory: () => ({ name: 'throws', boot }) });
} };`;

  it.each([
    [999_999, 0],
    [1_000_000, 1],
  ])('is done for a run of a million requests, and for no shorter one: %i', async (requests, times) => {
    writeFileSync(join(folder, 'throws.mjs'), MACHINE);
    const base = join(ROOT, PROFILE);
    const machine = 'machine: { use: ./throws.mjs, memory: 16MiB }';
    const text = `extends: ${base}\nprofile: long\nmatrix: []\n${machine}\nworkload: { requests: ${requests} }\n`;
    writeFileSync(join(folder, 'long.yaml'), text);
    let calls = 0;
    const streams = { stdout: new CollectedText(), stderr: new CollectedText(), cwd: folder };
    const status = await runCommandLine(['run', 'long.yaml'], streams, { beforeLongRuns: () => void calls++ });
    expect([status, calls, streams.stderr.text]).toEqual([2, times, expect.stringContaining('boot says no')]);
  });
});

function bundles(modules: readonly string[]): boolean {
  return modules.some((path) => path.includes('/rolldown/'));
}

describe('the command of a clone', () => {
  it('bundles what is newer than its bundle, and loads no bundler where nothing is', () => {
    const clone = join(folder, 'clone');
    cpSync(join(ROOT, '.build'), join(clone, '.build'), { recursive: true });
    mkdirSync(join(clone, 'packages/cli/src'), { recursive: true });
    mkdirSync(join(clone, 'packages/other/src'), { recursive: true });
    const write = (path: string, text: string): void => writeFileSync(join(clone, 'packages', path), text);
    const exported = { '.': { '@virtio-platform/source': './src/index.ts', default: './dist/index.js' } };
    write(
      'cli/package.json',
      JSON.stringify({ type: 'module', exports: {}, dependencies: { '@virtio-platform/other': '*' } }),
    );
    write('cli/src/main.ts', `#!/usr/bin/env node\nimport { said } from './said.ts';\nconsole.log(said as string);\n`);
    write('cli/src/said.ts', `export const said: string = 'one';\n`);
    write('other/package.json', JSON.stringify({ type: 'module', exports: exported, dependencies: {} }));
    write('other/src/index.ts', 'export const other: number = 1;\n');
    const command = join(clone, '.build/command.mjs');

    const first = started(command);
    expect([first.stdout, bundles(first.modules)]).toEqual(['one\n', true]);
    const second = started(command);
    expect([second.stdout, bundles(second.modules)]).toEqual(['one\n', false]);
    write('cli/src/said.ts', `export const said: string = 'two';\n`);
    const third = started(command);
    expect([third.stdout, bundles(third.modules)]).toEqual(['two\n', true]);
    rmSync(join(clone, 'packages/other/src/index.ts'));
    write('other/src/index.ts', 'export const other: number = 2;\n');
    expect(bundles(started(command).modules)).toBe(true);
    expect(bundles(started(command).modules)).toBe(false);
  });
});
