import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadProfile } from '@virtio-platform/profile';
import { runProfile, type RunReport } from '@virtio-platform/runner';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../command/command.ts';
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs a shipped profile with a device that makes one access of its own, which the run survives. */
async function runRogue(base: string, access: 'read' | 'write', address: string, device: string): Promise<RunReport> {
  const path = join(folder, 'rogue.yaml');
  writeFileSync(
    path,
    `extends: ${join(ROOT, 'profiles', base)}
profile: rogue
matrix: []
machine:
  device: ${device}
  onFault: zeros
  rogue: [{ after: 500, access: ${access}, address: ${address}, length: 64 }]
expect: { faults: 1 }
`,
  );
  return runProfile(await loadProfile(path));
}

describe.each(['same-thread', 'worker'])('a rogue device in %s', (device) => {
  it.each([
    ['pseries-dynamic.yaml', 'read', '0x3ff00000', 'unmapped'],
    ['pseries-dynamic.yaml', 'write', '0x3ff00000', 'unmapped'],
    ['pseries-linear.yaml', 'read', '0x1000', 'unmapped'],
    ['pseries-linear.yaml', 'write', '0x0900000000000000', 'outside-window'],
    ['sev-bounce.yaml', 'read', '0x1e00000', 'private-page'],
    ['sev-bounce.yaml', 'write', '0x1e00000', 'private-page'],
    ['vfio-pool.yaml', 'read', '0x40000000', 'unmapped'],
    ['vfio-pool.yaml', 'write', '0x40000000', 'unmapped'],
    ['no-iommu-identity.yaml', 'write', '0x10000000000', 'outside-memory'],
  ] as const)('is seen in %s: %s at %s is %s, and the data is unharmed', async (base, access, address, cause) => {
    const report = await runRogue(base, access, address, device);
    expect(report.faults).toEqual([{ address: `0x${BigInt(address).toString(16)}`, length: 64, access, cause }]);
    expect(report.differences).toEqual([]);
    expect(report.workload.verified).toBe(true);
  });
});

describe('a device that faults', () => {
  it.each([
    ['needs-reset', 'ERR_DEVICE_NEEDS_RESET'],
    ['freeze', 'ERR_DEVICE_FROZEN'],
    ['connection-loss', 'ERR_DEVICE_LOST'],
    ['stall', 'ERR_DEVICE_STALLED'],
  ])('fails the run clearly, with nothing left behind: %s', async (onFault, code) => {
    const path = join(folder, 'fails.yaml');
    writeFileSync(
      path,
      `extends: ${join(ROOT, 'profiles/vfio-streaming.yaml')}
profile: fails
matrix: []
driver: { timeout: 200ms }
machine:
  onFault: ${onFault}
  rogue: [{ after: 500, access: write, address: 0x40000000 }]
`,
    );
    const report = await runProfile(await loadProfile(path));
    expect([report.outcome, report.failure?.code]).toEqual(['failed', code]);
    expect([report.dma.live, report.faults.length]).toEqual([0, 1]);
  });

  it.each(['zeros', 'silent', 'io-error'])('goes on where its own request was not meant: %s', async (onFault) => {
    const path = join(folder, 'goes-on.yaml');
    writeFileSync(
      path,
      `extends: ${join(ROOT, 'profiles/vfio-pool.yaml')}
profile: goes-on
matrix: []
machine:
  onFault: ${onFault}
  rogue: [{ after: 500, access: write, address: 0x40000000 }]
expect: { faults: 1 }
`,
    );
    expect((await runProfile(await loadProfile(path))).differences).toEqual([]);
  });
});
