import { readFileSync } from 'node:fs';
import {
  CheckSkipped,
  findCheck,
  MACHINE_PLUGIN_CHECKS,
  runCheck,
  type MachinePluginSubject,
} from '@virtio-platform/conformance';
import { describe, expect, it } from 'vitest';
import { BROKEN_MACHINES } from './broken/broken-machines.ts';

/** What the suite boots unless it is told otherwise. */
function subjectOf(plugin: MachinePluginSubject['plugin']): MachinePluginSubject {
  return { plugin, options: {}, memory: 4 * 2 ** 20, device: {}, configBytes: 8 };
}

describe('the suite of machines', () => {
  it.each(BROKEN_MACHINES.map((broken) => [broken.wrong, broken.check, broken] as const))(
    'catches a machine that %s, in "%s"',
    async (_wrong, name, { plugin }) => {
      const check = findCheck(MACHINE_PLUGIN_CHECKS, name);
      const outcome: unknown = await runCheck(check, subjectOf(plugin)).catch((error: unknown) => error);
      expect(outcome).toBeInstanceOf(Error);
      expect(outcome).not.toBeInstanceOf(CheckSkipped);
      expect((outcome as Error).message).toMatch(/\n\ncontract: .+\nwhat to do: .+/);
    },
  );

  it('has a broken machine for each of its checks', () => {
    const caught = new Set(BROKEN_MACHINES.map(({ check }) => check));
    expect(MACHINE_PLUGIN_CHECKS.map(({ name }) => name).filter((name) => !caught.has(name))).toEqual([]);
  });

  it('has as many as the README says', () => {
    const readme = readFileSync(new URL('../../packages/conformance/README.md', import.meta.url), 'utf8');
    expect(readme).toContain(`${BROKEN_MACHINES.length} machines`);
  });
});
