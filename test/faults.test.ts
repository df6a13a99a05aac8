import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadProfile } from '@virtio-platform/profile';
import { runProfile, type RunReport } from '@virtio-platform/runner';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from './command.ts';

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
  onFault: silent
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
  it('asks for a reset where the machine says so, and the run fails clearly', async () => {
    const path = join(folder, 'needs-reset.yaml');
    writeFileSync(
      path,
      `extends: ${join(ROOT, 'profiles/vfio-pool.yaml')}
profile: needs-reset
matrix: []
machine:
  rogue: [{ after: 500, access: write, address: 0x40000000 }]
`,
    );
    const report = await runProfile(await loadProfile(path));
    expect(report.outcome).toBe('failed');
    expect(report.failure?.code).toBe('ERR_DEVICE_NEEDS_RESET');
    expect(report.dma.live).toBe(0);
    expect(report.faults).toHaveLength(1);
  });
});
