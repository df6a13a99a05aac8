import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BlockRing, READ, WRITE } from '@virtio-platform/conformance/testing';
import type { BootedMachine } from '@virtio-platform/core';
import { DirectDmaMapping } from '@virtio-platform/core/dma';
import { allocateSharedMemory, GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import { composeRun, loadProfiles } from '@virtio-platform/profile';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { reportsOf, virtioPlatform, withoutProgress } from '../command/command.ts';
import { QEMU_TESTS } from '../machines/qemu-installed.ts';
import { LARGE_PROFILES, type LargeProfile } from './large-profiles.ts';

const GIB = 2 ** 30;
const WORKLOAD = 'workload: { kind: write-read-verify, requests: 1000, depth: 32, blockSize: 4KiB, seed: 7 }';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function mayRun({ needs }: LargeProfile): boolean {
  if (needs === 'qemu') return QEMU_TESTS.mayRun;
  if (needs === 'nothing' || process.env['CI'] !== undefined) return true;
  try {
    execFileSync(needs, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function fileOf({ name, sections }: LargeProfile, more = ''): string {
  const path = join(folder, `${name}.yaml`);
  writeFileSync(path, `profile: ${name}\nsummary: More than 4 GiB.\n${sections}${WORKLOAD}\n${more}`);
  return path;
}

describe('C4 more than 4 GiB of memory', () => {
  it('is sparse, and allocated from above 4 GiB on while there is room', () => {
    const before = process.memoryUsage().rss;
    const memory = new GuestMemory(allocateSharedMemory(16 * GIB));
    const addresses = [4096, 12 * GIB - PAGE_SIZE, GIB].map((bytes) =>
      memory.allocate(bytes > GIB ? PAGE_SIZE : bytes),
    );
    expect(addresses.every((address) => address >= 4 * GIB)).toBe(true);
    expect(memory.allocate(PAGE_SIZE, PAGE_SIZE, GIB)).toBe(PAGE_SIZE);
    const last = 16 * GIB - 8;
    memory.u32[last / 4] = 0x0403_0201;
    Atomics.store(memory.u16, last / 2 + 2, 0x0605);
    expect([...memory.u8.subarray(last, last + 6), memory.view.getUint16(last, true)]).toEqual([
      1, 2, 3, 4, 5, 6, 0x0201,
    ]);
    // GIB was zeroed: it is really there. The other 15 are not.
    expect(process.memoryUsage().rss - before).toBeLessThan(2 * GIB);
  });

  it('is that of each platform and machine', async () => {
    const profiles = LARGE_PROFILES.filter(mayRun);
    const result = await virtioPlatform(['run', ...profiles.map((profile) => fileOf(profile)), '--json']);
    expect(withoutProgress(result.stderr)).toBe('');
    const clean = { outcome: 'completed', workload: { errors: 0, verified: true }, faults: [], differences: [] };
    expect(reportsOf(result)).toMatchObject(
      profiles.map(({ name }) => ({ profile: name, ...clean, dma: { live: 0 } })),
    );
    expect(result.status).toBe(0);
  });

  it('finds no mistake of the driver with the sanitizer, in bounded time', async () => {
    const profile = LARGE_PROFILES.find(({ name }) => name === 'embedded-pseries-dynamic')!;
    const result = await virtioPlatform(['run', fileOf(profile), '--json', '--sanitize']);
    expect(reportsOf(result)).toMatchObject([{ outcome: 'completed', findings: [], workload: { verified: true } }]);
  });

  it.each(LARGE_PROFILES.filter((profile) => profile.needs === 'qemu' && mayRun(profile) && isPhysical(profile)))(
    'has rings and buffers above 4 GiB that the device of $name reaches',
    async (profile) => {
      const [loaded] = await loadProfiles(fileOf(profile));
      const run = await composeRun({ ...loaded!, machine: withoutMessages(loaded!.machine) });
      try {
        writeAndRead(run.machine);
      } finally {
        await run.dispose();
      }
    },
  );
});

/** The small driver of this test maps no memory for MSI-X messages. */
function withoutMessages<Use extends { readonly options: Readonly<Record<string, unknown>> }>(machine: Use): Use {
  return { ...machine, options: { ...machine.options, interrupts: 'isr' } };
}

function isPhysical({ sections }: LargeProfile): boolean {
  return !sections.includes('ACCESS_PLATFORM');
}

function writeAndRead(machine: BootedMachine): void {
  const { memory } = machine;
  const ring = new BlockRing(machine, new DirectDmaMapping(memory, { path: 'physical', capacity: 64 }));
  const { words } = ring.queue.addresses;
  expect([words[1], words[3], words[5]].every((high) => high! > 0)).toBe(true);
  // The last page of memory, and the first one above 4 GiB that is free.
  for (const data of [memory.allocate(PAGE_SIZE), memory.size - PAGE_SIZE]) {
    expect(data).toBeGreaterThanOrEqual(4 * GIB);
    for (const byte of [0x17, 0x42]) {
      memory.u8.fill(byte, data, data + PAGE_SIZE);
      expect(ring.request(WRITE, 8, data, PAGE_SIZE)).toBe(0);
      memory.u8.fill(0, data, data + PAGE_SIZE);
      expect(ring.request(READ, 8, data, PAGE_SIZE)).toBe(0);
      expect(memory.u8.subarray(data, data + PAGE_SIZE).every((read) => read === byte)).toBe(true);
    }
  }
  ring.end();
}
