import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Platform } from '@virtio-platform/core';
import { AMD_IOMMU_FACILITY, type AmdIommuFacility } from '@virtio-platform/platform-amd-iommu';
import { composeRun, loadProfiles, type ComposedRun } from '@virtio-platform/profile';
import { RunSession, runProfile } from '@virtio-platform/runner';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { QEMU_TESTS } from './qemu-installed.ts';

const PAGE = 4096;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Writes a profile of a guest behind QEMU's unit, and returns its path. */
function profile(more = ''): string {
  const path = join(folder, 'guest.yaml');
  writeFileSync(
    path,
    `profile: guest
platform: { use: "@virtio-platform/platform-amd-iommu" }
machine: { use: "@virtio-platform/machine-qemu", board: q35, iommu: amd, memory: 64MiB, trace: [amdvi_devtab_*] }
device: { type: block, capacity: 1MiB, offers: [VERSION_1, ACCESS_PLATFORM] }
workload: { kind: write-read-verify, requests: 200, depth: 8, blockSize: 4KiB }
${more}
`,
  );
  return path;
}

async function withGuest(body: (platform: Platform, run: ComposedRun) => Promise<void> | void): Promise<void> {
  const [loaded] = await loadProfiles(profile());
  const run = await composeRun(loaded!);
  try {
    await body(run.platform, run);
  } finally {
    await run.dispose();
  }
}

describe.skipIf(!QEMU_TESTS.mayRun)("QEMU's amd-iommu", () => {
  it('takes back every mapping, and its tables and buffers at the end of the platform', async () => {
    await withGuest(async (platform, run) => {
      const before = run.machine.memory.allocated;
      const session = new RunSession(run);
      await session.start();
      await session.run();
      session.end();
      session.dispose();
      expect([run.machine.memory.allocated, platform.leaks?.count]).toEqual([before, 0]);
      expect(platform.recordedFaults?.()).toEqual([]);
      platform.dispose();
      expect(run.machine.memory.allocated).toBe(0);
    });
  });

  it('says by its capability that it caches what is not mapped, and walks six levels', async () => {
    await withGuest((_platform, run) => {
      const unit = run.machine.facilities.get(AMD_IOMMU_FACILITY) as AmdIommuFacility;
      const words = new Uint32Array(2);
      unit.read64(0x30, words);
      expect([unit.readConfig(0), (words[0]! >>> 10) & 3]).toEqual([0x0008_1022, 2]);
      expect(unit.readConfig(0x40) & 0x0400_0000).toBe(0x0400_0000);
      unit.read64(0x2020, words);
      expect(words[0]).toBe(0x18);
    });
  });

  it('tells of an address that is not mapped by its trace alone', async () => {
    const [loaded] = await loadProfiles(
      profile('driver: { buffers: streaming }\nfailures: { wrongAddress: { nth: [5] } }'),
    );
    const { recorded } = await runProfile(loaded!);
    expect(recorded).toMatchObject([
      {
        access: 'read or write',
        cause: 'unmapped',
        length: PAGE - 3,
        detail: expect.stringContaining('the machine noticed the refused access'),
      },
    ]);
  });
});
