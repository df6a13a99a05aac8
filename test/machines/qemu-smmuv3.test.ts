import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GuestMemory } from '@virtio-platform/core/memory';
import { SimulatedSmmu, SMMU_FACILITY, smmuv3OptionsSchema, type SmmuFacility } from '@virtio-platform/platform-smmuv3';
import { composeRun, loadProfiles, type ComposedRun } from '@virtio-platform/profile';
import { RunSession } from '@virtio-platform/runner';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { QEMU_TESTS } from './qemu-installed.ts';

const IDENTIFICATION = [0, 4, 0x14];
/** IDR0: stream tables of two levels. */
const TWO_LEVELS = 0x800_0000;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Boots a board for Arm with an SMMUv3, and ends it. */
async function withGuest(more: string, body: (run: ComposedRun) => Promise<void>): Promise<void> {
  const path = join(folder, 'guest.yaml');
  writeFileSync(
    path,
    `profile: guest
summary: A guest behind QEMU's SMMUv3.
platform: { use: "@virtio-platform/platform-smmuv3" }
machine: { use: "@virtio-platform/machine-qemu", board: virt, iommu: smmuv3, memory: 64MiB }
device: { type: block, capacity: 1MiB, offers: [VERSION_1, ACCESS_PLATFORM] }
driver: { buffers: streaming }
workload: { kind: write-read-verify, requests: 8, depth: 1, blockSize: 512B }
${more}
`,
  );
  const [profile] = await loadProfiles(path);
  const run = await composeRun(profile!);
  try {
    await body(run);
  } finally {
    await run.dispose();
  }
}

describe.skipIf(!QEMU_TESTS.mayRun)("QEMU's SMMUv3", () => {
  it('identifies itself as the one in software, gives every page back, and its tables at the end', async () => {
    await withGuest('', async (run) => {
      const { machine, platform } = run;
      const unit = machine.facilities.get(SMMU_FACILITY) as SmmuFacility;
      const memory = new GuestMemory(new SharedArrayBuffer(4096));
      const simulated = new SimulatedSmmu({ ...smmuv3OptionsSchema.parse({}).unit, memory });
      const registers = IDENTIFICATION.map((offset) => unit.read32(offset));
      registers[0]! -= TWO_LEVELS;
      expect(registers).toEqual(IDENTIFICATION.map((offset) => simulated.read32(offset)));

      const before = machine.memory.allocated;
      const session = new RunSession(run);
      await session.start();
      await session.run();
      session.end();
      session.dispose();
      expect([machine.memory.allocated, platform.leaks?.count, platform.recordedFaults?.()]).toEqual([before, 0, []]);
      platform.dispose();
      expect([machine.memory.allocated, unit.read32(0x24)]).toEqual([0, 0]);
    });
  });

  it('records refused accesses as the one in software, until its queue is full, and goes on after that', async () => {
    await withGuest('failures: { wrongAddress: { nth: [2, 14] } }', async ({ platform, ...run }) => {
      const session = new RunSession({ platform, ...run });
      await session.start();
      await session.run();
      const recorded = platform.recordedFaults?.() ?? [];
      expect(recorded).toHaveLength(128);
      expect(new Set(recorded.map(({ cause, access }) => `${cause} ${access}`))).toEqual(new Set(['unmapped read']));
      expect(platform.statistics?.['unit']).toMatchObject({ events: 128, 'global errors': 1 });
      session.end();
      session.dispose();
      expect(platform.recordedFaults?.()).toEqual([]);
    });
  });
});
