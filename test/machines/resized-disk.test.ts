import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadProfile, missingRequirements } from '@virtio-platform/profile';
import { runProfile, type RunReport } from '@virtio-platform/runner';
import { afterAll, describe, expect, it } from 'vitest';
import { monitor } from './qmp-monitor.ts';

const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs a profile whose disk is resized through a monitor in the middle of the run. */
async function runResized(name: string, machine: string, resize: object): Promise<RunReport> {
  const path = join(folder, `${name}.yaml`);
  writeFileSync(
    path,
    `profile: ${name}
platform: { use: "@virtio-platform/platform-legacy" }
machine: ${machine}
device: { type: block, capacity: 16MiB }
workload: { kind: mixed, requests: 60000, depth: 8, blockSize: 4KiB, seed: 3 }
`,
  );
  const profile = await loadProfile(path);
  const missing = process.env['CI'] === undefined ? await missingRequirements(profile) : [];
  expect(missing).toEqual([]);
  let resized: Promise<unknown> | undefined;
  const report = await runProfile(profile, {
    onProgress(done) {
      if (done > 1000) resized ??= monitor(join(folder, `${name}.qmp`), [resize]);
    },
  });
  await resized;
  return report;
}

describe('a disk that is resized while it is used', () => {
  // qemu-storage-daemon tells its front-end of a new size from 8.1 on: wrong-back-end.test.ts has vhost-user.
  it.each([
    [
      'qemu',
      '{ use: "@virtio-platform/machine-qemu", board: pc, memory: 32MiB, arguments: [-qmp, "unix:SOCKET,server=on,wait=off"] }',
      { execute: 'block_resize', arguments: { 'node-name': 'disk', size: 24 * 1024 ** 2 } },
    ],
  ])('is noticed by the driver half: %s', async (name, machine, resize) => {
    const report = await runResized(name, machine.replace('SOCKET', join(folder, `${name}.qmp`)), resize);
    expect(report.failure).toBeNull();
    expect(report.configuration).toEqual({ changes: 1, seen: ['capacity 16MiB to 24MiB'] });
    expect(report.workload).toMatchObject({ requests: 60_000, errors: 0, verified: true });
  });
});
