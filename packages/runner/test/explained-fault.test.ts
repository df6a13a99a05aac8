import { fileURLToPath } from 'node:url';
import { loadProfile, type ProfileObject } from '@virtio-platform/profile';
import { runProfile, type RunReport } from '@virtio-platform/runner';
import { describe, expect, it } from 'vitest';

const PLUGINS = { resolveFrom: [fileURLToPath(new URL('../../cli/package.json', import.meta.url))] };

/** The report of a run in a window of an IOMMU, with the sections that a test replaces. */
async function reportOf(more: ProfileObject): Promise<RunReport> {
  const source: ProfileObject = {
    profile: 'run',
    platform: { use: '@virtio-platform/platform-pseries', window: { kind: 'default' } },
    machine: { use: '@virtio-platform/machine-simulated', memory: '16MiB' },
    device: { type: 'block', offers: ['VERSION_1', 'ACCESS_PLATFORM', 'RING_INDIRECT_DESC'] },
    workload: { kind: 'write-read-verify', requests: 200, depth: 16, blockSize: '4KiB' },
    ...more,
  };
  return await runProfile(await loadProfile(source, PLUGINS));
}

async function explained(more: ProfileObject): Promise<RunReport['explanations'][number] | undefined> {
  const { explanations } = await reportOf(more);
  return explanations[0];
}

describe('the explanation of a refused access', () => {
  it('names the request and the descriptor whose address was refused, and where the address came from', async () => {
    const fault = await explained({ driver: { buffers: 'streaming' }, failures: { wrongAddress: { nth: [50] } } });
    expect(fault).toMatchObject({
      kind: 'fault',
      what: expect.stringMatching(
        /^the device entered an error state after its read of 4096 bytes at 0x\w+ was refused/,
      ),
      where: expect.stringMatching(/^write of sector \d+, queue 0, buffer 16, entry 1 of its indirect table$/),
      place: { queue: 0, buffer: 16, operation: expect.stringMatching(/^write of sector/) },
      notes: [
        expect.stringMatching(/^the driver got it from a mapping of 4096 bytes of guest address 0x\w+, which it/),
      ],
      next: expect.stringContaining('mapping'),
    });
    expect(fault!.events.map(({ text }) => text)).toContainEqual(
      expect.stringMatching(/^fault: read of 4096 bytes at 0x\w+: outside-window$/),
    );
    expect(fault!.descriptors.length).toBeGreaterThan(0);
  });

  it('names the area of a ring', async () => {
    const fault = await explained({ driver: { forces: ['VERSION_1', 'ACCESS_PLATFORM'] } });
    expect(fault).toMatchObject({
      kind: 'fault',
      where: expect.stringMatching(/^queue 0: the descriptor area of the ring begins at 0x/),
      place: { queue: 0, buffer: null },
    });
    expect(fault!.notes).toContain('2 more accesses refused');
  });

  it('says that an address is in no buffer', async () => {
    const rogue = [{ after: 100, access: 'write', address: 0x3ff0_0000, length: 64 }];
    const machine = { use: '@virtio-platform/machine-simulated', memory: '16MiB', rogue };
    expect(await explained({ machine })).toMatchObject({
      kind: 'fault',
      where: 'device address 0x3ff00000: it is in no descriptor of the buffers that the driver knows',
      notes: ['of the mappings that the recorder kept, none gave the driver this address'],
    });
  });

  it('is with the data that the device went on without', async () => {
    const machine = { use: '@virtio-platform/machine-simulated', memory: '16MiB', onFault: 'zeros' };
    const driver = { buffers: 'streaming' } as const;
    const wrong = await explained({ machine, driver, failures: { wrongAddress: { nth: [302] } } });
    expect(wrong).toMatchObject({
      kind: 'mismatch',
      notes: expect.arrayContaining([
        expect.stringMatching(
          /^the device's write of 4096 bytes at 0x\w+ was refused: outside-window \(buffer \d+, entry 1 of its/,
        ),
      ]),
      next: expect.stringContaining('refused'),
    });
  });
});

describe('a finding of a run', () => {
  it('names the driver, and not the recorder that stands between driver and sanitizer', async () => {
    const driver = { buffers: 'streaming', sanitize: true } as const;
    const { findings } = await reportOf({ driver, failures: { wrongAddress: { nth: [50] } } });
    const [{ mappedAt, addedAt, misusedAt } = { mappedAt: [], addedAt: [], misusedAt: [] }] = findings;
    for (const [first] of [mappedAt, addedAt, misusedAt]) expect(first).toMatch(/^BlockDriver\./);
  });
});
