import type { MachineDiscovery } from '@virtio-platform/core';
import { CodedError } from '@virtio-platform/core';
import { describe, expect, it } from 'vitest';
import { discoverMachine, type InstalledPlugin } from '../src/index.ts';
import tinyMachine from './fixtures/tiny-machine.ts';

const FOUND: MachineDiscovery = {
  missing: [],
  devices: [{ name: 'x', what: 'virtio block', details: {}, missing: [] }],
};

function installed(discover?: () => Promise<MachineDiscovery>): InstalledPlugin {
  const plugin = discover === undefined ? tinyMachine : { ...tinyMachine, discover };
  // Options are checked before they get to a plugin, which is not asked about any here.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return { use: 'tiny', version: '1', kind: 'machine', error: undefined, plugin } as unknown as InstalledPlugin;
}

describe('discoverMachine', () => {
  it('gives what a machine found, and nothing for one that does not look', async () => {
    expect(await discoverMachine(installed(async () => FOUND))).toEqual(FOUND);
    expect(await discoverMachine(installed())).toBeUndefined();
  });

  it('names the plugin where looking fails', async () => {
    const failing = installed(async () => {
      throw new TypeError('what');
    });
    await expect(discoverMachine(failing)).rejects.toMatchObject({ code: 'ERR_PLUGIN_HOOK', plugin: 'tiny' });
    const coded = installed(async () => {
      throw new CodedError('ERR_SYSCALL', 'no');
    });
    await expect(discoverMachine(coded)).rejects.toMatchObject({ code: 'ERR_SYSCALL' });
  });
});
