import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TYPE1_CONTAINER_CHECKS } from '@virtio-platform/platform-vfio';
import type { RunReport } from '@virtio-platform/runner';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectedBlock } from './expected-block.ts';
import { missingForGuest } from '../linux-guest/guest-files.ts';
import type { StrayAccess } from '../linux-guest/stray-accesses.ts';
import type { VfioGuestResult } from '../linux-guest/vfio-guest.ts';
import { BLOCK, REQUESTS, runVfioScenario, TIMEOUT_MS, WORK } from '../linux-guest/vfio-scenario.ts';
/** In CI nothing is skipped. */
const missing = process.env['CI'] === undefined ? missingForGuest('amd64') : undefined;
const skipped = missing === undefined ? '' : ` (needs ${missing.what}: ${missing.fix})`;

/** What the program of checks says of one promise. */
interface ContainerResult {
  readonly check: string;
  readonly type: string;
  readonly devices: number;
  readonly failure: string | null;
}

let folder: string;
let guest: VfioGuestResult;
let reports: Map<string, RunReport>;

/** Between lines that tell which is which: what each command printed, and its status. */
function section(name: string): { readonly text: string; readonly status: number } {
  const found = new RegExp(`^begin ${name}\n([^]*?)^end ${name} (\\d+)$`, 'm').exec(guest.output);
  if (found === null) throw new Error(`nothing of ${name} in:\n${guest.output.slice(-4000)}`);
  return { text: found[1]!, status: Number(found[2]) };
}

describe.skipIf(missing !== undefined)(`a process without privileges behind the kernel’s VFIO${skipped}`, () => {
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
    guest = await runVfioScenario(folder);
    const parsed = JSON.parse(/^\[[^]*^\]/m.exec(section('runs').text)?.[0] ?? '[]') as RunReport[];
    reports = new Map(parsed.map((report) => [report.profile, report]));
  }, TIMEOUT_MS + 60_000);
  afterAll(() => rmSync(folder, { recursive: true }));

  it('has the user hold no capability, and ends by itself', () => {
    expect(section('user').text).toMatch(/^Uid:\s+1000\b[^]*^CapPrm:\s+0+$[^]*^CapEff:\s+0+$/m);
    expect(guest.status).toBe(0);
  });

  it.each(['type1', 'type1v2'] as const)('is refused by a container of %s what the simulated one refuses', (type) => {
    const tried = results<ContainerResult>('check').filter((result) => result.type === type);
    const expected = TYPE1_CONTAINER_CHECKS.filter((check) => check.type === undefined || check.type === type);
    expect(tried.map(({ check }) => check)).toEqual(expected.map(({ name }) => name));
    expect(tried.filter(({ failure }) => failure !== null)).toEqual([]);
    // Memory is counted once for both devices of a container, as the simulated one has it.
    expect(new Set(tried.map(({ devices }) => devices))).toEqual(new Set([type === 'type1' ? 1 : 2]));
  });

  it('drives a disk by a client that waits in the event loop, woken by each notification', () => {
    const [result, ...others] = results<{ readonly client: { wakeUps: number; rescued: number }; wrong: number }>(
      'client',
    );
    expect(others).toEqual([]);
    expect([result!.wrong, result!.client.rescued]).toEqual([0, 0]);
    expect(result!.client.wakeUps).toBeGreaterThan(10);
  });

  it('gets a device that another process has only when that process is done', () => {
    const again = results<{ readonly again: string }>('again').map((result) => result.again);
    expect(again).toEqual(
      Array.from({ length: 2 }, () => expect.stringMatching(/cannot open \/dev\/vfio\/\d+: EBUSY/)),
    );
  });

  it.each([
    ['write', /DMA Write .*Request device \[(?:0000:)?00:09\.0\] fault addr (0x[0-9a-f]+)/],
    ['read', /DMA Read .*Request device \[(?:0000:)?00:09\.0\] fault addr (0x[0-9a-f]+)/],
  ] as const)('is kept from a %s of memory that it did not map, and the kernel names the device', (kind, fault) => {
    const [stray] = results<StrayAccess>('stray').filter(({ stray: found }) => found === kind);
    expect(stray).toMatchObject({ changed: 0, sectorKept: kind === 'write' });
    // The device hides it: what it could not write is lost, and what it could not read is zeros on its disk.
    expect(stray!.status).toBe(0);
    expect(fault.exec(guest.kernelLog)?.[1]).toBe(stray!.iova);
  });

  it('has only those addresses refused by the IOMMU: no run strayed', () => {
    // One access can be reported more than once: a device may try again.
    const faults = [...guest.kernelLog.matchAll(/fault addr (0x[0-9a-f]+)/g)].map(([, address]) => address);
    expect(new Set(faults)).toEqual(new Set(results<StrayAccess>('stray').map(({ iova }) => iova)));
  });

  it.each(Object.entries(WORK))('runs %s', (name, requests) => {
    expect(reports.get(name)).toMatchObject({
      machine: 'vfio',
      platform: 'vfio',
      path: 'translated',
      outcome: 'completed',
      queue: { layout: name.includes('packed') ? 'packed' : 'split' },
      workload: { requests, errors: 0, verified: true },
      dma: { live: 0 },
      differences: [],
    });
  });

  it.each(['exec-split', 'exec-packed-streaming'])(
    'keeps its device in %s while its memory gets other addresses, and shares the container',
    (name) => {
      expect(reports.get(name)!.workload).toMatchObject({ interruptions: 3, repeated: 0 });
    },
  );

  it('maps each buffer anew where it is told to, and pools once elsewhere', () => {
    expect(reports.get('type1-streaming')!.dma.maps).toBeGreaterThan(3000);
    expect(reports.get('split')!.dma.maps).toBeLessThan(10);
  });

  it.each([
    ['split', 3],
    ['packed', 4],
  ] as const)('leaves what it wrote on the disk of %s rings', (name, seed) => {
    const image = readFileSync(join(folder, `${name}.img`));
    const wrong = Array.from({ length: REQUESTS / 2 }, (_, block) => block).filter(
      (block) => !image.subarray(block * BLOCK, (block + 1) * BLOCK).equals(expectedBlock(BLOCK, seed, block, 0)),
    );
    expect(wrong).toEqual([]);
    expect(image.subarray((REQUESTS / 2) * BLOCK).every((byte) => byte === 0)).toBe(true);
  });

  it('names limit, need and fix where the memory-lock limit is below the pool', () => {
    const { failure, dma } = reports.get('memory-lock')!;
    expect(failure).toMatchObject({
      code: 'ERR_DMA_EXHAUSTED',
      message: expect.stringMatching(/cannot map 8454144 bytes .*ENOMEM.* of the 2097152 that may be/),
      hint: expect.stringMatching(
        /memory-lock limit to at least \d+KiB \(ulimit -l \d+; .*prlimit --pid \$\$ --memlock=\d+/,
      ),
    });
    expect(dma.live).toBe(0);
  });

  it('refuses a device that does not offer ACCESS_PLATFORM, and says why', () => {
    const { text, status } = section('refused');
    expect(status).toBe(1);
    expect(text).toMatch(/refused EPERM/);
    expect(text).toMatch(/does not offer ACCESS_PLATFORM, so its accesses bypass the IOMMU/);
    // No write reached its disk, and no request its container.
    expect(readFileSync(join(folder, 'bare.img')).every((byte) => byte === 0)).toBe(true);
    expect(reports.get('bare')).toMatchObject({
      outcome: 'refused',
      refusal: { code: 'EPERM' },
      dma: { maps: 0 },
      path: null,
    });
  });

  it('lists which devices are ready, and the command for the one that is not', () => {
    const { text, status } = section('list');
    expect(status).toBe(0);
    expect(text).toMatch(/0000:00:03\.0 {2}ready {4}virtio block device, IOMMU group \d+, driver vfio-pci/);
    expect(text).toMatch(/0000:00:0a\.0 {2}missing {2}virtio block device, IOMMU group \d+, driver virtio-pci/);
    expect(text).toContain('echo 0000:00:0a.0 | sudo tee /sys/bus/pci/devices/0000:00:0a.0/driver/unbind');
  });

  it('is told what to do for a device that Linux still uses', () => {
    const { text, status } = section('unbound');
    expect(status).toBe(3);
    expect(text).toMatch(/ERR_MACHINE_MISSING/);
    expect(text).toMatch(/echo vfio-pci \| sudo tee \/sys\/bus\/pci\/devices\/0000:00:0a\.0\/driver_override/);
  });
});

/** The lines of the program of checks that have a key. */
function results<Result>(key: string): Result[] {
  return [...section('checks').text.matchAll(/^result (.*)$/gm)]
    .map(([, json]) => JSON.parse(json!) as Result & object)
    .filter((result) => key in result);
}
