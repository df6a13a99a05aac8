import { loadProfile } from '@virtio-platform/profile';
import { startProfile, type RunReport } from '@virtio-platform/runner';
import { describe, expect, it } from 'vitest';

/** Runs 200 requests against a device that misbehaves so. */
async function run(misbehaves: object, changes: Readonly<Record<string, object>> = {}): Promise<RunReport> {
  const profile = {
    profile: 'misbehaving',
    summary: 'A device that misbehaves on purpose.',
    platform: { use: '@virtio-platform/platform-legacy' },
    machine: { use: '@virtio-platform/machine-simulated', memory: '16MiB' },
    driver: { timeout: '1s' },
    queue: { layout: 'packed', size: 64 },
    workload: { kind: 'write-read-verify', requests: 200, depth: 8, blockSize: 4096 },
    ...changes,
    device: { type: 'block', capacity: '4MiB', ...changes['device'], misbehaves },
  };
  return await startProfile(await loadProfile({ text: JSON.stringify(profile) })).report;
}

/** What went wrong with a seed of errors at random. */
async function failed(seed: number): Promise<string> {
  const { explanations } = await run({ errors: { rate: 0.01, seed } });
  return JSON.stringify(explanations.map(({ what }) => what));
}

const rings = ['split', 'packed'].map((layout) => ({ queue: { layout, size: 64 } }));

describe('a driver of a device that misbehaves on purpose', () => {
  it('waits for buffers that come late, on both layouts and in order', async () => {
    const offers = ['VERSION_1', 'RING_PACKED', 'IN_ORDER', 'RING_EVENT_IDX'];
    for (const ring of [...rings, { device: { offers } }]) {
      const begin = performance.now();
      const report = await run({ late: { nth: [3, 90], by: '30ms' } }, ring);
      expect(report).toMatchObject({ outcome: 'completed', workload: { verified: true } });
      expect(performance.now() - begin).toBeGreaterThan(55);
    }
  });

  it('takes buffers that come in another order', async () => {
    for (const ring of rings) {
      const report = await run({ reordered: { every: 3 }, late: { rate: 0.05, seed: 4, by: '2ms' } }, ring);
      expect(report).toMatchObject({ outcome: 'completed', workload: { verified: true } });
    }
  });

  it('does not take data of which the device says that it did not write it', async () => {
    const report = await run({ short: { nth: [150] } });
    expect(report).toMatchObject({ outcome: 'completed', workload: { verified: false } });
    expect(JSON.stringify(report.explanations)).toContain('used length 2048');
  });

  it('finds a length that is a lie, and breaks the queue', async () => {
    for (const ring of rings) {
      const report = await run({ lies: { nth: [20] } }, ring);
      expect(report.failure).toMatchObject({ code: 'ERR_QUEUE_BROKEN' });
      expect(report.failure?.message).toContain('used-length-too-large');
    }
  });

  it('hears of errors', async () => {
    const report = await run({ errors: { nth: [20] } });
    expect(report).toMatchObject({ outcome: 'completed', workload: { verified: false } });
    expect(JSON.stringify(report.explanations)).toMatch(/IOERR|status 1/);
  });

  it('notices that a notification did not come', async () => {
    const machine = { use: '@virtio-platform/machine-simulated', memory: '16MiB', device: 'worker' };
    const report = await run({ silent: { nth: [5] } }, { machine });
    expect(report.failure).toMatchObject({ code: 'ERR_NOTIFICATION_MISSED' });
  });

  it('sees that the device needs a reset', async () => {
    expect((await run({ needsReset: { nth: [50] } })).failure).toMatchObject({ code: 'ERR_DEVICE_NEEDS_RESET' });
  });

  it('is told of changes of the configuration', async () => {
    const report = await run({ configChanges: { every: 50 } }, { expect: { configChanges: 4 } });
    expect(report).toMatchObject({ outcome: 'completed', differences: [], workload: { verified: true } });
  });

  it('loses a device that dies', async () => {
    const { failure } = await run({ dies: { nth: [50] } });
    expect(failure).toMatchObject({ code: 'ERR_DEVICE_LOST' });
    expect(failure?.message).toContain('on purpose');
  });

  it('sees the same with the same seed, and something else with another', async () => {
    expect(await failed(7)).toBe(await failed(7));
    expect(await failed(8)).not.toBe(await failed(7));
  });

  it('is refused where the device is another program’s, and errors where the type has none', async () => {
    const machine = { use: '@virtio-platform/machine-vhost-user', memory: '16MiB', socket: '/nowhere.sock' };
    await expect(run({ dies: { nth: [1] } }, { machine })).rejects.toMatchObject({ code: 'ERR_PLUGIN_FACILITY' });
    const device = { type: 'entropy', capacity: undefined };
    const workload = { kind: 'read', requests: 8, depth: 1, blockSize: 64 };
    expect((await run({ errors: { every: 2 } }, { device, workload })).failure).toMatchObject({
      code: 'ERR_DEVICE_IMPOSSIBLE',
    });
  });
});
