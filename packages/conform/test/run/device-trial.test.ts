import { loadProfile } from '@virtio-platform/profile';
import { expect, it } from 'vitest';
import { DeviceTrial, planTrial } from '../../src/index.ts';
import spinning from './spinning-device.ts';

it('goes on after a case from which an embedded device never returns', { timeout: 30_000 }, async () => {
  const profile = await loadProfile({
    profile: 'spinning',
    platform: { use: '@virtio-platform/platform-legacy' },
    machine: { use: '@virtio-platform/machine-simulated', memory: '16MiB' },
    device: { type: 'block' },
    workload: { kind: 'read', requests: 1, depth: 1, blockSize: '512B' },
  });
  const module = new URL('spinning-device.ts', import.meta.url).href;
  const ids = ['ring/readable-in-two/split', 'ring/writable-in-two/split'];
  const trial = new DeviceTrial({
    profile: { ...profile, device: { ...profile.device, type: spinning, module } },
    plan: planTrial(profile, (id) => ids.includes(id)),
    patienceMs: 100,
    settleMs: 1,
  });
  try {
    expect(await trial.boot()).toMatchObject({ type: 'block', machine: 'simulated' });
    const results = await trial.run();
    expect(results.map(({ id, verdict, severity }) => [id, verdict, severity])).toEqual([
      [ids[0], 'hang', 'wedged'],
      [ids[1], 'pass', 'none'],
    ]);
  } finally {
    await trial.end();
  }
});
