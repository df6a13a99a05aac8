import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadProfile } from '@virtio-platform/profile';
import { runProfile } from '@virtio-platform/runner';
import { afterAll, describe, expect, it } from 'vitest';
import { ROOT } from '../command/command.ts';

const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
afterAll(() => rmSync(folder, { recursive: true }));

async function run(lie: number): Promise<{ readonly verified: boolean; readonly said: string | null }> {
  const path = join(folder, 'console.yaml');
  const content = {
    profile: 'lying-console',
    platform: { use: '@virtio-platform/platform-legacy' },
    machine: { use: '@virtio-platform/machine-simulated', memory: '16MiB' },
    device: {
      use: join(ROOT, 'test/profiles/lying-console.ts'),
      columns: lie + 1,
      ports: [
        { id: 0, name: 'login' },
        { id: 1, name: 'agent' },
      ],
      changes: [
        { after: 40, add: { id: 2, name: 'late' } },
        { after: 80, resize: { columns: 132, rows: 43 } },
        { after: 120, remove: 2 },
      ],
      maxPorts: 5,
    },
    driver: { timeout: '300ms' },
    queue: { size: 32 },
    workload: { kind: 'mixed', requests: 200, depth: 4, blockSize: '64B', seed: 3 },
  };
  writeFileSync(path, JSON.stringify(content));
  const { workload, failure, outcome } = await runProfile(await loadProfile(path));
  const [first] = workload.mismatches.first;
  return {
    verified: outcome === 'completed' && workload.verified,
    said: first === undefined ? (failure?.code ?? null) : first.detail,
  };
}

describe('a console that is not as its settings say', () => {
  it('is verified where it is', async () => {
    expect(await run(0)).toEqual({ verified: true, said: null });
  });

  it.each([
    ['has other names', 1, /has the name "another" instead of "login"/],
    ['has other consoles', 2, /port 1 is a console, against the settings/],
    ['does not unplug a port', 3, /ERR_DEVICE_STALLED/],
    ['does not plug a port', 4, /ERR_/],
    ['does not resize', 5, /ERR_DEVICE_STALLED/],
    ['has another size', 6, /port 0 has 132 columns and 9 rows, which no change that is left gives it/],
    ['plugs a port that it is not to have', 7, /port 4 was added 1 times instead of 0/],
    ['unplugs a port that it is to keep', 8, /port 1 was removed 1 times instead of 0/],
    ['closes a port that it is to leave open', 9, /port 1 was closed 1 times instead of 0/],
  ])('is not verified where it %s', async (_, lie, said) => {
    const result = await run(lie);
    expect(result.verified).toBe(false);
    expect(result.said).toMatch(said);
  });
});
