import type { MachineSurvey } from '@virtio-platform/core';
import { CodedError } from '@virtio-platform/core';
import { describe, expect, it } from 'vitest';
import { surveyMachine, type InstalledPlugin } from '../src/index.ts';
import tinyMachine from './fixtures/tiny-machine.ts';

const FOUND: MachineSurvey = { missing: [], devices: [{ name: 'x', what: 'virtio block', details: {}, missing: [] }] };

function installed(survey?: () => Promise<MachineSurvey>): InstalledPlugin {
  const plugin = survey === undefined ? tinyMachine : { ...tinyMachine, survey };
  // Options are checked before they get to a plugin, which is not asked about any here.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return { use: 'tiny', version: '1', kind: 'machine', error: undefined, plugin } as unknown as InstalledPlugin;
}

describe('surveyMachine', () => {
  it('gives what a machine found, and nothing for one that does not look', async () => {
    expect(await surveyMachine(installed(async () => FOUND))).toEqual(FOUND);
    expect(await surveyMachine(installed())).toBeUndefined();
  });

  it('names the plugin where looking fails', async () => {
    const failing = installed(async () => {
      throw new TypeError('what');
    });
    await expect(surveyMachine(failing)).rejects.toMatchObject({ code: 'ERR_PLUGIN_HOOK', plugin: 'tiny' });
    const coded = installed(async () => {
      throw new CodedError('ERR_SYSCALL', 'no');
    });
    await expect(surveyMachine(coded)).rejects.toMatchObject({ code: 'ERR_SYSCALL' });
  });
});
