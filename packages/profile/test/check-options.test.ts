import { describe, expect, it } from 'vitest';
import tinyPlatform from './fixtures/tiny-platform.ts';
import { checkOptions } from '../src/plugin/check-options.ts';
import type { PlatformPlugin } from '@virtio-platform/core';
import { displayPath } from '../src/source/profile-issue.ts';
import { loadProfile } from '../src/load-profile.ts';
import { LocatedPluginError } from '../src/plugin/plugin-error.ts';
import { isRecord } from '../src/source/unknown-value.ts';
import { caught } from './support/caught.ts';
import { profileText } from './support/profile-text.ts';
import { fixture, temporaryProfile } from './support/temporary-folder.ts';
async function check(options: string, plugin: PlatformPlugin = tinyPlatform): Promise<unknown> {
  const platform = `{ use: ${fixture('tiny-platform')}, ${options} }`;
  return await checkOptions(plugin, (await loadProfile(temporaryProfile(profileText({ platform })))).platform);
}

/** A plugin whose schema is written by hand, with nothing that zod adds. */
const byHand: PlatformPlugin = {
  ...tinyPlatform,
  options: {
    '~standard': {
      version: 1,
      vendor: 'hand',
      validate: () => ({ issues: [{ message: 'is not to my liking', path: [{ key: 'window' }, 'pages'] }] }),
    },
  },
};

describe('checkOptions', () => {
  it('fills in defaults and freezes the result', async () => {
    const options = await check('window: { pages: 4 }');
    expect(options).toEqual({ mode: 'plain', base: 0, window: { pages: 4 } });
    expect(Object.isFrozen(options)).toBe(true);
    expect(isRecord(options) && Object.isFrozen(options['window'])).toBe(true);
  });

  it('keeps every bit of a 64-bit option', async () => {
    expect(await check('base: 0xfedcba9876543211')).toMatchObject({ base: 0xfedcba9876543211n });
  });

  it('reports every option that is wrong at its own place', async () => {
    const file = temporaryProfile(`profile: test
platform:
  use: ${fixture('tiny-platform')}
  mode: fanzy
  window: { pages: 0, colour: red }
  bass: 0x1000
machine: { use: ${fixture('tiny-machine')}, memory: 1MiB }
device: { type: block }
workload: { kind: write-read-verify, requests: 1, depth: 1, blockSize: 512 }
`);
    const error = await caught(checkOptions(tinyPlatform, (await loadProfile(file)).platform), LocatedPluginError);
    expect(error.code).toBe('ERR_PLUGIN_OPTIONS');
    const { issues } = error;
    expect(issues.map(({ path, line, column, suggestion }) => [path, line, column, suggestion])).toEqual([
      ['platform.window.colour', 5, 23, undefined],
      ['platform.bass', 6, 3, 'base'],
      ['platform.mode', 4, 9, 'fancy'],
      ['platform.window.pages', 5, 20, undefined],
    ]);
    expect(error.message).toContain(`4 options are wrong (${displayPath(file)}:3:8)`);
    expect(error.message).toContain(
      `${displayPath(file)}:6:3: platform.bass: unknown key \`bass\` — did you mean \`base\`?`,
    );
  });

  it('reports a missing option at what lacks it', async () => {
    const error = await caught(check('window: {}'), LocatedPluginError);
    expect(error.issues).toEqual([
      expect.objectContaining({ path: 'platform.window.pages', message: '`pages` is missing', line: 2 }),
    ]);
  });

  it('takes schemas of any library', async () => {
    const error = await caught(check('window: { pages: 4 }', byHand), LocatedPluginError);
    expect(error.issues).toEqual([
      expect.objectContaining({ path: 'platform.window.pages', message: 'is not to my liking', text: '4' }),
    ]);
  });

  it('names the plugin whose schema throws', async () => {
    const error = await caught(check('fail: schema'), LocatedPluginError);
    expect(error).toMatchObject({
      code: 'ERR_PLUGIN_HOOK',
      message: expect.stringContaining('its `options` threw: schema failed'),
    });
    expect(error.cause).toBeInstanceOf(RangeError);
  });
});
