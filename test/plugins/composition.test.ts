import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { RunSession } from '@virtio-platform/runner';
import {
  GUEST_MEMORY,
  MACHINE,
  MACHINE_REQUEST,
  PLATFORM,
  type MachinePlugin,
  type PlatformPlugin,
} from '@virtio-platform/core';
import { composeRun, loadProfile, loadProfiles } from '@virtio-platform/profile';
import { container, type DependencyContainer } from 'tsyringe';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { ROOT } from '../command/command.ts';
afterEach(() => {
  vi.restoreAllMocks();
});

describe('composition', () => {
  it.each(['pseries-dynamic', 'sev-bounce', 'vfio-streaming', 'no-iommu-identity'])(
    'asks no container once %s is composed',
    async (name) => {
      const kind = Object.getPrototypeOf(container) as DependencyContainer;
      const resolve = vi.spyOn(kind, 'resolve');
      const profiles = await loadProfiles(join(ROOT, 'profiles', `${name}.yaml`));
      const run = await composeRun(profiles.at(-1)!);
      const composed = resolve.mock.calls.length;
      expect(composed).toBeGreaterThanOrEqual(2);
      try {
        const session = new RunSession(run);
        await session.start();
        await session.run();
        session.end();
        session.dispose();
        expect(session.workload?.verified).toBe(true);
      } finally {
        await run.dispose();
      }
      expect(resolve.mock.calls.length).toBe(composed);
    },
  );

  it('leaves the root container empty', async () => {
    const run = await composeRun(await loadProfile(join(ROOT, 'profiles/pseries-plain.yaml')));
    expect(container.isRegistered(PLATFORM)).toBe(false);
    expect(container.isRegistered(MACHINE)).toBe(false);
    expect(container.isRegistered(GUEST_MEMORY)).toBe(false);
    expect(container.isRegistered(MACHINE_REQUEST)).toBe(false);
    await run.dispose();
  });
});

describe('every shipped plugin', () => {
  const packages = readdirSync(join(ROOT, 'packages')).filter((name) => /^(platform|machine)-/.test(name));

  it.each(packages)('%s binds by factory, which any copy of the container can resolve', async (name) => {
    const source = pathToFileURL(join(ROOT, 'packages', name, 'dist/index.js')).href;
    const { default: plugin } = (await import(source)) as { default: PlatformPlugin | MachinePlugin };
    const register = vi.fn<(...given: unknown[]) => never>();
    plugin.register({ register, registerInstance: register, registerSingleton: register }, {});
    const token = plugin.kind === 'platform' ? PLATFORM : MACHINE;
    expect(register.mock.calls).toEqual([[token, { useFactory: expect.any(Function) }]]);
  });
});
