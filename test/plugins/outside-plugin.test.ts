import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadProfile } from '@virtio-platform/profile';
import { explainProfile, runProfile } from '@virtio-platform/runner';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PAGE = readFileSync(join(ROOT, 'packages/core/docs/writing-a-platform.md'), 'utf8');

/** A folder outside the workspaces, with just the files that the page tells its reader to save. */
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(ROOT, 'test', '.outside-'));
  mkdirSync(folder, { recursive: true });
  for (const [, name, text] of PAGE.matchAll(/```\w+ file=(\S+)\n([\s\S]*?)```/g))
    writeFileSync(join(folder, name!), text!);
});
afterAll(() => rmSync(folder, { recursive: true }));

async function runWith(change: (yaml: string) => string, name: string): Promise<ReturnType<typeof runProfile>> {
  const path = join(folder, name);
  writeFileSync(path, change(readFileSync(join(folder, 'offset.yaml'), 'utf8')));
  return runProfile(await loadProfile(path));
}

describe('a platform written from the documentation alone', () => {
  it('runs from its own folder by a relative path', async () => {
    const report = await runProfile(await loadProfile(join(folder, 'offset.yaml')));
    expect(report.differences).toEqual([]);
    expect(report).toMatchObject({
      platform: 'offset',
      outcome: 'completed',
      path: 'linear',
      workload: { requests: 1000, errors: 0, verified: true },
      dma: { live: 0 },
      faults: [],
    });
  });

  it('explains its own rule', async () => {
    const { rules } = await explainProfile(await loadProfile(join(folder, 'offset.yaml')));
    const own = rules.find(({ rule }) => rule === 'bridge-needs-access-platform');
    expect(own?.says).toEqual(['addresses get 0x2000000000 added']);
  });

  it('serves a device in a worker', async () => {
    const report = await runWith(
      (yaml) => yaml.replace('memory: 16MiB', 'memory: 16MiB\n  device: worker'),
      'worker.yaml',
    );
    expect(report).toMatchObject({ outcome: 'completed', workload: { verified: true }, faults: [] });
  });

  it('refuses a device without ACCESS_PLATFORM by its own rule', async () => {
    const report = await runWith((yaml) => yaml.replace('ACCESS_PLATFORM, ', ''), 'refused.yaml');
    expect(report.refusal).toMatchObject({ code: 'ENODEV', rule: 'bridge-needs-access-platform' });
  });

  it('has its options checked at their place in the YAML', async () => {
    await expect(
      runWith((yaml) => yaml.replace('offset: 0x2000000000', 'offest: 5'), 'wrong.yaml'),
    ).rejects.toMatchObject({
      code: 'ERR_PLUGIN_OPTIONS',
      message: expect.stringMatching(/wrong\.yaml:5:11.*unknown option offest/s),
    });
  });
});
