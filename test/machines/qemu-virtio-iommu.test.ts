import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Platform } from '@virtio-platform/core';
import { composeRun, loadProfiles, type ComposedRun } from '@virtio-platform/profile';
import { VIRTIO_IOMMU_FACILITY, type VirtioIommuFacility } from '@virtio-platform/platform-virtio-iommu';
import { RunSession } from '@virtio-platform/runner';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { QEMU_TESTS } from './qemu-installed.ts';

/** Offset of the field `bypass` in the configuration of a virtio-iommu. */
const BYPASS = 36;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Boots a machine of QEMU with a virtio-iommu, and ends it. */
async function withGuest(
  sections: { readonly machine: string; readonly platform?: string },
  body: (platform: Platform, run: ComposedRun) => Promise<void> | void,
): Promise<void> {
  const path = join(folder, 'guest.yaml');
  writeFileSync(
    path,
    `profile: guest
summary: A guest behind QEMU's virtio-iommu.
platform: { use: "@virtio-platform/platform-virtio-iommu"${sections.platform ?? ''} }
machine: { use: "@virtio-platform/machine-qemu", iommu: virtio, ${sections.machine} }
device: { type: block, capacity: 1MiB, offers: [VERSION_1, ACCESS_PLATFORM] }
workload: { kind: write-read-verify, requests: 8, depth: 1, blockSize: 512B }
`,
  );
  const [profile] = await loadProfiles(path);
  const run = await composeRun(profile!);
  try {
    await body(run.platform, run);
  } finally {
    await run.dispose();
  }
}

/** The field `bypass` as it is now. */
function bypassOf({ machine }: ComposedRun): number {
  const { transport } = machine.facilities.get(VIRTIO_IOMMU_FACILITY) as VirtioIommuFacility;
  const byte = new Uint8Array(1);
  transport.readConfig(BYPASS, byte);
  return byte[0]!;
}

describe.skipIf(!QEMU_TESTS.mayRun)("QEMU's virtio-iommu", () => {
  it('tells the interrupts of a q35 by PROBE, and nothing of POWER', async () => {
    await withGuest({ machine: 'board: q35, memory: 64MiB' }, ({ statistics, traits }) => {
      expect([statistics?.['unit'], traits.interruptsExposed]).toEqual([{ events: 0, 'reserved regions': 1 }, true]);
    });
    await withGuest({ machine: 'board: pseries, memory: 256MiB' }, ({ statistics, traits }) => {
      expect([statistics?.['unit'], traits.interruptsExposed]).toEqual([{ events: 0, 'reserved regions': 0 }, true]);
    });
  });

  it.each([
    ['', 'true', 0],
    [', bypass: keep', 'true', 1],
    [', bypass: keep', 'false', 0],
    [', bypass: on', 'false', 1],
    [', lacks: [IOMMU_BYPASS_CONFIG]', 'true', 1],
  ])('has with options%s, and at boot %s, the bypass %i, also after its reset', async (platform, bootBypass, left) => {
    const machine = `board: q35, memory: 64MiB, virtioIommu: { bootBypass: ${bootBypass} }`;
    await withGuest({ machine, platform }, (opened, run) => {
      expect(bypassOf(run)).toBe(left);
      opened.dispose();
      expect(bypassOf(run)).toBe(left);
    });
  });

  it('takes back every mapping, and its queues at the end of the platform', async () => {
    await withGuest({ machine: 'board: q35, memory: 64MiB' }, async (platform, run) => {
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
});
