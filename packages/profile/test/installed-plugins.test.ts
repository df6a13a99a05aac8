import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { installedPlugins } from '../src/plugin/installed-plugins.ts';
import { temporaryFolder } from './support/temporary-folder.ts';
const MODULE = `export default {
  kind: 'machine', name: 'outside', apiVersion: 1, provides: 'simulated',
  options: { '~standard': { version: 1, vendor: 'hand', validate: (value) => ({ value }) } },
  register() {}, async missing() { return []; },
};
`;

function packageJson(name: string, keywords: string): string {
  return `{ "name": "${name}", "version": "1.2.3", "type": "module", "keywords": [${keywords}], "exports": { "default": "./a.js" } }`;
}

describe('installedPlugins', () => {
  it('finds the dependencies that are plugins, and says why one cannot be loaded', async () => {
    const folder = temporaryFolder({
      'package.json':
        '{ "dependencies": { "good": "*", "library": "*", "gone": "*" }, "devDependencies": { "bad": "*" } }',
      'node_modules/good/package.json': packageJson('good', '"virtio-platform-plugin"'),
      'node_modules/good/a.js': MODULE,
      'node_modules/bad/package.json': packageJson('bad', '"virtio-platform-plugin"'),
      'node_modules/bad/a.js': 'throw new RangeError("broken");',
      'node_modules/library/package.json': packageJson('library', '"something"'),
      'node_modules/library/a.js': 'throw new RangeError("no plugin, so never loaded");',
      'node_modules/undeclared/package.json': packageJson('undeclared', '"virtio-platform-plugin"'),
      'node_modules/undeclared/a.js': MODULE,
    });
    const installed = await installedPlugins([join(folder, 'package.json')]);
    expect(installed.map(({ use, version, kind }) => [use, version, kind])).toEqual([
      ['bad', '1.2.3', undefined],
      ['good', '1.2.3', 'machine'],
    ]);
    expect(installed[0]!.error).toMatchObject({ code: 'ERR_PLUGIN_INVALID', plugin: 'bad' });
    expect(installed[1]!.plugin?.name).toBe('outside');
  });

  it('finds nothing where nothing is declared', async () => {
    expect(await installedPlugins([join(temporaryFolder({}), 'package.json')])).toEqual([]);
  });

  it('finds the package that is under development, with the file that it is entered by', async () => {
    const manifest = packageJson('mine', '"virtio-platform-plugin"').replace('./a.js', './dist/a.js');
    const folder = temporaryFolder({
      'package.json': manifest.replace('"version"', '"dependencies": { "good": "*" }, "version"'),
      'dist/a.js': MODULE,
      'node_modules/good/package.json': packageJson('good', '"virtio-platform-plugin"'),
      'node_modules/good/a.js': MODULE,
    });
    const installed = await installedPlugins([join(folder, 'package.json')]);
    expect(installed.map(({ use, entry, error }) => [use, entry, error?.message])).toEqual([
      ['good', undefined, undefined],
      ['mine', 'dist/a.js', undefined],
    ]);
  });
});
