import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { runProgram, succeed } from './program.ts';
import { ROOT } from './public-packages.ts';

const command = join(inject('project'), 'node_modules', '.bin', 'virtio-platform');

/** An empty directory, in which a person who has the command installed begins. */
let folder: string;
/** The `node_modules` of a package that was made, for the next one. */
let installed: string | undefined;
beforeAll(() => {
  folder = mkdtempSync(join(inject('project'), '..', 'new-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** The lines that `new` prints under `Next:`. */
function nextCommands(printed: string): string[] {
  return printed
    .slice(printed.indexOf('Next:'))
    .split('\n')
    .slice(1)
    .map((line) => line.trim())
    .filter((line) => line !== '');
}

/** What a package.json of this repository depends on, with the versions. */
function versions(path: string): Record<string, string> {
  const { dependencies, devDependencies } = JSON.parse(readFileSync(join(ROOT, path), 'utf8')) as {
    dependencies?: Record<string, string>;
    devDependencies?: Record<string, string>;
  };
  return { ...dependencies, ...devDependencies };
}

describe('a package made by `new`', () => {
  it.each([
    { kind: 'platform', name: 'tiny-board', plugin: 'tiny-board', option: 'offset' },
    { kind: 'machine', name: '@mine/virtio-platform-machine-dice', plugin: 'dice', option: 'most' },
    { kind: 'device', name: 'virtio-platform-device-egg-timer', plugin: 'egg-timer', option: 'interval' },
  ])('is green by what `new` says: $kind $name', async ({ kind, name, plugin, option }) => {
    const printed = await succeed(command, ['new', kind, name], folder);
    const [install, test, run, ...more] = nextCommands(printed);
    const own = join(folder, name.replace('@mine/', ''));
    expect([install, more]).toEqual([`cd ${name.replace('@mine/', '')} && npm install`, []]);
    // With what the package before installed, and with the versions that are in npm's cache already.
    if (installed !== undefined) await succeed('cp', ['-al', installed, own], folder);
    installed = join(own, 'node_modules');
    await succeed('sh', ['-c', `${install!} --prefer-offline --no-audit --no-fund`], folder);
    const { status, stdout } = await runProgram('sh', ['-c', test!], own);
    expect([status, stdout]).toEqual([0, expect.stringMatching(/Tests {2}\d+ passed/)]);
    expect(run).toBe(`npx virtio-platform run profiles/${plugin}.yaml`);
    const reports = JSON.parse(await succeed('sh', ['-c', `${run!} --json`], own)) as Record<string, unknown>[];
    expect(reports.length).toBeGreaterThan(0);
    for (const report of reports)
      expect(report).toMatchObject({ outcome: 'completed', [kind]: plugin, faults: [], differences: [] });

    // The editor knows its options, by the schema that the profile names.
    const profile = readFileSync(join(own, 'profiles', `${plugin}.yaml`), 'utf8');
    const [, schema] = /^# yaml-language-server: \$schema=(\S+)$/m.exec(profile)!;
    const text = readFileSync(join(own, 'profiles', schema!), 'utf8');
    expect(JSON.parse(text)).toMatchObject({ type: 'object' });
    expect(text).toContain(`"${name}"`);
    expect(text).toContain(`"${option}"`);

    expect(existsSync(join(own, '.gitignore'))).toBe(true);
    const manifest = readFileSync(join(own, 'package.json'), 'utf8');
    expect(manifest).toContain('virtio-platform-plugin');
    expect(manifest + profile + readFileSync(join(own, 'README.md'), 'utf8')).not.toMatch(/template/i);
  });

  it('of a device type is named by its short name, or by its package in a scope', async () => {
    const own = join(folder, 'virtio-platform-device-egg-timer');
    const profile = readFileSync(join(own, 'profiles', 'egg-timer.yaml'), 'utf8');
    const rename = (use: string): string => profile.replace('use: "virtio-platform-device-egg-timer"', use);
    const expectRuns = async (use: string): Promise<void> => {
      writeFileSync(join(own, 'profiles', 'other.yaml'), rename(use));
      const { status, stderr } = await runProgram(command, ['run', 'profiles/other.yaml'], own);
      expect([use, status, stderr]).toEqual([use, 0, '']);
    };
    await expectRuns('type: egg-timer');
    await expectRuns('use: ../dist/index.js');
    const manifest = join(own, 'package.json');
    writeFileSync(manifest, readFileSync(manifest, 'utf8').replace('"virtio-', '"@mine/virtio-'));
    await expectRuns('use: "@mine/virtio-platform-device-egg-timer"');
    writeFileSync(join(own, 'profiles', 'other.yaml'), rename('type: egg-timer'));
    const { status, stderr } = await runProgram(command, ['run', 'profiles/other.yaml'], own);
    expect([status, stderr]).toEqual([2, expect.stringContaining('use: "@mine/virtio-platform-device-egg-timer"')]);
  });

  it.each([
    ['Tiny', 'capital'],
    ['../tiny', 'URL-friendly'],
    ['a b', 'URL-friendly'],
    ['node_modules', 'node_modules'],
    ['fs', 'core module'],
    ['42', 'begins with a letter'],
    ['platform-', 'begins with a letter'],
  ])('is refused the name %s', async (name, why) => {
    const { status, stderr } = await runProgram(command, ['new', 'platform', name], folder);
    expect([status, stderr]).toEqual([2, expect.stringMatching(new RegExp(`${why}.*ERR_NEW_NAME`))]);
    expect(existsSync(join(folder, name)) && name !== '../tiny').toBe(false);
  });

  it('goes to no folder that has something in it, and to an empty one', async () => {
    mkdirSync(join(folder, 'full'));
    writeFileSync(join(folder, 'full', 'notes'), 'dear diary');
    for (const into of ['full', 'full/notes', 'full/notes/below']) {
      const { status, stderr } = await runProgram(command, ['new', 'platform', 'x', '--into', into], folder);
      expect([status, stderr]).toEqual([2, expect.stringContaining('ERR_NEW_FOLDER')]);
    }
    expect(readFileSync(join(folder, 'full', 'notes'), 'utf8')).toBe('dear diary');
    mkdirSync(join(folder, 'empty'));
    const printed = await succeed(command, ['new', 'machine', 'x', '--into', '.'], join(folder, 'empty'));
    expect(nextCommands(printed)[0]).toBe('npm install');
  });

  it('is of a kind that there is', async () => {
    const { status, stderr } = await runProgram(command, ['new', 'planet', 'x'], folder);
    expect([status, stderr]).toEqual([2, expect.stringContaining('platform, device, machine')]);
  });
});

describe('a template', () => {
  it.each(['platform', 'device', 'machine'])(
    'of a %s names the releases that this repository is tested with',
    (kind) => {
      const ours: Record<string, string> = {
        ...versions('packages/options/package.json'),
        ...versions('package.json'),
      };
      const tools = ['typescript', 'vitest', 'zod', '@types/node'];
      const template = versions(`packages/cli/templates/${kind}/manifest.json`);
      expect(tools.map((name) => [name, template[name]])).toEqual(tools.map((name) => [name, ours[name]]));
    },
  );
});
