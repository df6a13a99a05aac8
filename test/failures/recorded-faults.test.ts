import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadProfile } from '@virtio-platform/profile';
import { runProfile, type RunReport } from '@virtio-platform/runner';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { commandHere, ROOT } from '../command/command.ts';
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function profileOf(options: string, expected = '{}'): string {
  const path = join(folder, 'recording.yaml');
  writeFileSync(
    path,
    `profile: recording
platform: { use: ${join(ROOT, 'test/failures/recording-platform.ts')}, ${options} }
machine: { use: "@virtio-platform/machine-simulated", memory: 16MiB }
device: { type: block, offers: [VERSION_1] }
workload: { kind: write-read-verify, requests: 20, depth: 4, blockSize: 4KiB }
expect: ${expected}
`,
  );
  return path;
}

async function run(options: string, expected?: string): Promise<RunReport> {
  return runProfile(await loadProfile(profileOf(options, expected)));
}

describe('what an IOMMU recorded', () => {
  it('is nothing where its registers are empty, whatever was in them before the run', async () => {
    const report = await run('recorded: 0');
    expect([report.recorded, report.differences]).toEqual([[], []]);
  });

  it('is in the report, and is not expected', async () => {
    const report = await run('recorded: 2');
    expect(report.recorded).toEqual([
      { address: '0x0', length: 1, access: 'write', cause: 'unmapped' },
      { address: '0x1000', length: 1, access: 'write', cause: 'unmapped' },
    ]);
    expect(report.faults).toEqual([]);
    expect(report.differences).toEqual(['recorded faults: expected 0, was 2']);
    expect(report.explanations).toMatchObject([
      {
        kind: 'fault',
        what: 'the IOMMU recorded a write of 1 byte at 0x0: unmapped',
        where: expect.stringMatching(/^device address 0x0: /),
        place: { deviceAddress: '0x0' },
      },
    ]);
  });

  it('can be expected', async () => {
    expect((await run('recorded: 2', '{ recorded: 2 }')).differences).toEqual([]);
    expect((await run('recorded: 0', '{ recorded: 2 }')).differences).toEqual(['recorded faults: expected 2, was 0']);
  });

  it('is bounded', async () => {
    expect((await run('recorded: 1000', '{ recorded: 256 }')).differences).toEqual([]);
  });

  it('fails the run where it cannot be read', async () => {
    const report = await run('isGone: true');
    expect([report.outcome, report.failure?.code, report.recorded]).toEqual(['failed', 'ERR_DEVICE_LOST', []]);
    expect([report.workload.verified, report.dma.live]).toEqual([true, 0]);
  });

  it('is shown to people beside the faults', async () => {
    const expected = profileOf('recorded: 7', '{ recorded: 7 }');
    expect((await commandHere(['run', expected])).stdout).toContain('recording  7 recorded faults, as expected\n');
    const { stdout } = await commandHere(['run', expected, '--reporter', 'table', '--verbose']);
    expect(stdout).toContain('0 (+7 recorded)');
    expect(stdout.match(/recorded by the IOMMU: write of 1 byte at 0x[0-9a-f]+: unmapped/g)).toHaveLength(7);
    const unexpected = await commandHere(['run', profileOf('recorded: 7', '{ recorded: 6 }')]);
    expect(unexpected.stdout).toContain('  fault   the IOMMU recorded a write of 1 byte at 0x6000: unmapped\n');
    expect(unexpected.stdout).toContain('recorded by the IOMMU: write of 1 byte at 0x1000: unmapped');
    expect(unexpected.stdout).toContain('and 1 more (recorded by the IOMMU)');
  });
});
