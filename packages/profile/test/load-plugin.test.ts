import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import tinyPlatform from './fixtures/tiny-platform.ts';
import { displayPath } from '../src/source/profile-issue.ts';
import { loadPlugin } from '../src/plugin/load-plugin.ts';
import { loadProfile } from '../src/load-profile.ts';
import { LocatedPluginError } from '../src/plugin/plugin-error.ts';
import type { PluginKind } from '../src/plugin/plugin-use.ts';
import type { PluginUse } from '../src/schema/profile.ts';
import { caught } from './support/caught.ts';
import { profileText } from './support/profile-text.ts';
import { fixture, temporaryFolder } from './support/temporary-folder.ts';

/** A use of a plugin as a file in `folder` names it. */
function useOf(use: string, folder: string = dirname(fixture('journal'))): PluginUse {
  const location = { file: join(folder, 'profile.yaml'), line: 7, column: 8 };
  return { use, options: {}, location, locate: () => location };
}

async function failure(use: PluginUse, kind: PluginKind = 'platform'): Promise<LocatedPluginError> {
  return await caught(loadPlugin(use, kind), LocatedPluginError);
}

/** A plugin in plain JavaScript, as a plugin outside of this repository may be written. */
const JAVASCRIPT = `export default {
  kind: 'platform', name: 'outside', apiVersion: 1, needs: [],
  options: { '~standard': { version: 1, vendor: 'hand', validate: (value) => ({ value }) } },
  register() {}, simulate() {},
};
`;

describe('loadPlugin', () => {
  it('loads a file', async () => {
    expect((await loadPlugin(useOf(fixture('tiny-platform')), 'platform')).name).toBe(tinyPlatform.name);
  });

  it('loads a file by a path relative to the profile', async () => {
    const text = profileText({ platform: '{ use: ./plugins/outside.js }' });
    const folder = temporaryFolder({
      'profile.yaml': text,
      'plugins/outside.js': JAVASCRIPT,
      'package.json': '{"type":"module"}',
    });
    const profile = await loadProfile(join(folder, 'profile.yaml'));
    expect((await loadPlugin(profile.platform, 'platform')).name).toBe('outside');
  });

  it.each([
    ['exports', '{ "name": "outside", "type": "module", "exports": { ".": { "default": "./entry.js" } } }', 'entry.js'],
    ['main', '{ "type": "module", "main": "entry.js" }', 'entry.js'],
    ['an index', '{ "type": "module" }', 'index.js'],
  ])('loads a folder that is entered by %s', async (_, manifest, entry) => {
    const folder = temporaryFolder({ 'plugin/package.json': manifest, [`plugin/${entry}`]: JAVASCRIPT });
    expect((await loadPlugin(useOf(join(folder, 'plugin'), folder), 'platform')).name).toBe('outside');
  });

  it('finds a package from the folder of the profile', async () => {
    const folder = temporaryFolder({
      'node_modules/outside/package.json':
        '{ "name": "outside", "type": "module", "exports": { "default": "./a.js" } }',
      'node_modules/outside/a.js': JAVASCRIPT,
    });
    expect((await loadPlugin(useOf('outside', folder), 'platform')).name).toBe('outside');
  });

  it('finds a package from the places it is given', async () => {
    const folder = temporaryFolder({
      'node_modules/outside/package.json':
        '{ "name": "outside", "type": "module", "exports": { "default": "./a.js" } }',
      'node_modules/outside/a.js': JAVASCRIPT,
    });
    const options = { resolveFrom: [join(folder, 'package.json')] };
    expect((await loadPlugin(useOf('outside'), 'platform', options)).name).toBe('outside');
  });

  it('says that a package is not installed, where it is named, and how to install it', async () => {
    const use = useOf('virtio-platform-atlantis');
    const error = await failure(use);
    expect(error.code).toBe('ERR_PLUGIN_NOT_FOUND');
    expect(error.plugin).toBe('virtio-platform-atlantis');
    expect(error.message).toContain(`it is not installed (${displayPath(use.location.file)}:7:8)`);
    expect(error.hint).toContain('npm install virtio-platform-atlantis');
    expect(error.location).toEqual(use.location);
    expect(error.issues).toEqual([expect.objectContaining({ path: 'platform.use', line: 7, column: 8 })]);
  });

  it.each(['pseries', 'psereis', 'platform-pseries', '@outside/platform-pseris'])(
    'suggests an installed plugin for %s',
    async (name) => {
      const folder = temporaryFolder({
        'package.json': '{ "dependencies": { "@outside/platform-pseries": "*" } }',
        'node_modules/@outside/platform-pseries/package.json': '{ "keywords": ["virtio-platform-plugin"] }',
      });
      const suggestion = (await failure(useOf(name, folder))).issues[0]!.suggestion;
      expect(suggestion).toMatch(/^@(?:outside|virtio-platform)\/platform-pseries$/);
    },
  );

  it('tells a package that only imports can enter', async () => {
    const folder = temporaryFolder({
      'node_modules/outside/package.json': '{ "name": "outside", "type": "module", "exports": { "import": "./a.js" } }',
      'node_modules/outside/a.js': JAVASCRIPT,
    });
    const error = await failure(useOf('outside', folder));
    expect(error).toMatchObject({
      code: 'ERR_PLUGIN_NOT_FOUND',
      hint: expect.stringContaining('the condition `default`'),
    });
  });

  it('tells a package that was not built from one that is not installed', async () => {
    const folder = temporaryFolder({
      'node_modules/outside/package.json': '{ "name": "outside", "exports": { "default": "./dist/a.js" } }',
    });
    const error = await failure(useOf('outside', folder));
    expect(error).toMatchObject({ code: 'ERR_PLUGIN_NOT_FOUND', hint: expect.stringContaining('build it?') });
    expect(error.message).toContain(join('outside', 'dist', 'a.js'));
  });

  it('does not take a module of Node for a plugin', async () => {
    expect(await failure(useOf('fs'))).toMatchObject({ code: 'ERR_PLUGIN_NOT_FOUND' });
  });

  it('refuses a path that does not exist', async () => {
    expect(await failure(useOf(fixture('absent')))).toMatchObject({
      code: 'ERR_PLUGIN_NOT_FOUND',
      message: expect.stringContaining('it does not exist'),
    });
  });

  it('refuses a default export that is no plugin', async () => {
    expect(await failure(useOf(fixture('not-a-plugin')))).toMatchObject({ code: 'ERR_PLUGIN_INVALID' });
  });

  it('says what a plugin lacks', async () => {
    const error = await failure(useOf(fixture('incomplete-platform')));
    expect(error.code).toBe('ERR_PLUGIN_INVALID');
    expect(error.message).toContain(
      'lacks: options (a Standard Schema), register (a function), needs (a list of facility tokens)',
    );
  });

  it('refuses a plugin of the other kind', async () => {
    const error = await failure(useOf(fixture('tiny-platform')), 'machine');
    expect(error.message).toContain('it is a platform plugin, not a machine plugin');
  });

  it('says which version of the contract a plugin has, and which this is', async () => {
    const error = await failure(useOf(fixture('future-platform')));
    expect(error.code).toBe('ERR_PLUGIN_API_VERSION');
    expect(error.message).toMatch(/version 99 .* version 1/);
  });

  it('keeps the cause of a module that throws', async () => {
    const error = await failure(useOf(fixture('throwing-module')));
    expect(error).toMatchObject({ code: 'ERR_PLUGIN_INVALID', message: expect.stringContaining('cannot be loaded') });
    expect(error.cause).toBeInstanceOf(RangeError);
  });
});
