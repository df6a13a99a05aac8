import { describe, expect, it } from 'vitest';
import { checkPlugins } from '../../src/plugin/check-plugins.ts';
import { loadProfile } from '../../src/load-profile.ts';
import { LocatedPluginError } from '../../src/plugin/plugin-error.ts';
import { caught } from '../support/caught.ts';
import { profileText } from '../support/profile-text.ts';
import { fixture, temporaryFolder } from '../support/temporary-folder.ts';

describe('a device of few address bits, on a platform that does not ask what a device takes', () => {
  it.each([
    ['dmaBits: 24', 'device.dmaBits', 'dmaBits'],
    ['minAlignMask: 0xfff', 'device.minAlignMask', 'minAlignMask'],
    ['dmaBits: 24, minAlignMask: 0xfff', 'device.dmaBits and device.minAlignMask', 'dmaBits'],
  ])('is refused by what would be passed over: %s', async (keys, names, key) => {
    const text = profileText({ device: `{ type: block, ${keys} }` });
    const folder = temporaryFolder({ 'profile.yaml': text });
    const profile = await loadProfile(`${folder}/profile.yaml`);
    const error = await caught(checkPlugins(profile), LocatedPluginError);
    const message = `platform tiny takes no account of ${names}`;
    const hint = `leave out ${names}, or use another platform`;
    expect(error).toMatchObject({ code: 'ERR_DMA_MASK', message: expect.stringContaining(message), hint });
    expect(error.issues).toMatchObject([{ path: `device.${key}`, line: 4, message: `${message}: ${hint}` }]);
  });
});

describe('a platform that is asked what a device takes', () => {
  it('answers whether it is about the bits or about the mask, and is wrong otherwise', async () => {
    const platform = `{ use: ${fixture('misnaming-platform')} }`;
    const text = profileText({ platform, device: '{ type: block, dmaBits: 24 }' });
    const profile = await loadProfile(`${temporaryFolder({ 'profile.yaml': text })}/profile.yaml`);
    const error = await caught(checkPlugins(profile), LocatedPluginError);
    const wrong = 'gave an object with the wrong about (addressBits or minAlignMask, not "dmaBits")';
    expect(error).toMatchObject({ code: 'ERR_PLUGIN_CONTRACT', message: expect.stringContaining(wrong) });
  });
});
