import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ringOptions } from '@virtio-platform/conformance/testing';
import type { Platform } from '@virtio-platform/core';
import { nap, resetDevice, startDevice } from '@virtio-platform/core/device';
import { DmaDirection, type DmaMapping, type DmaRegion } from '@virtio-platform/core/dma';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { openVirtqueue, ScatterList, UsedBatch, type Virtqueue } from '@virtio-platform/core/queue';
import { SECTOR_SIZE, VIRTIO_BLK_T_IN } from '@virtio-platform/device-block';
import { IntelIommuPlatform, intelIommuOptionsSchema, VTD_FACILITY } from '@virtio-platform/platform-intel-iommu';
import { PseriesPlatform, pseriesOptionsSchema, TCE_FACILITY } from '@virtio-platform/platform-pseries';
import { composeRun, loadProfiles, type ComposedRun } from '@virtio-platform/profile';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { initializeBlock } from './initialize-block.ts';
import { QEMU_TESTS } from './qemu-installed.ts';

/** What the disk has, and what is in memory before a device writes there. */
const ON_DISK = 0xd7;
const CANARY = 0x5a;
/** Pages that the former owner maps first, so that its buffer has an address that the next one does not use. */
const FILLER_PAGES = 64;

/** Milliseconds that a request may take, and that a device gets which cannot reach its ring. */
const USED_MS = 10_000;
const UNREACHED_MS = 300;
/** Milliseconds after which QEMU has no notification of the device left. */
const SETTLED_MS = 50;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A driver that has set the device up. */
interface Driver {
  readonly mapping: DmaMapping;
  readonly queue: Virtqueue;
}

/** The kernel before: QEMU's machine with its platform. */
async function startFormer(name: string, sections: string): Promise<ComposedRun> {
  const image = join(folder, `${name}.raw`);
  writeFileSync(image, Buffer.alloc(64 * SECTOR_SIZE, ON_DISK));
  const path = join(folder, `${name}.yaml`);
  writeFileSync(
    path,
    `profile: ${name}
${sections}
device: { type: block, capacity: 32KiB, image: "${image}", offers: [VERSION_1, ACCESS_PLATFORM] }
workload: { kind: write-read-verify, requests: 1, depth: 1, blockSize: 512B }
`,
  );
  const [profile] = await loadProfiles(path);
  return await composeRun(profile!);
}

function startDriver(run: ComposedRun, platform: Platform): Driver {
  const { memory, transport } = run.machine;
  const { path } = initializeBlock(run, platform);
  const mapping = platform.openMapping(path!, { queue: 0, capacity: 128 });
  const queue = openVirtqueue('split', memory, mapping, ringOptions());
  transport.interruptMessages?.receiveIn(mapping.allocateCoherent(transport.interruptMessages.bytes, 4));
  transport.enableQueue(0, queue.addresses);
  startDevice(transport);
  return { mapping, queue };
}

/** Makes a read of sector 0 into a page available, and does not tell the device of it. */
function publishRead({ machine }: ComposedRun, { mapping, queue }: Driver, page: DmaRegion): void {
  const { memory } = machine;
  const control = mapping.allocateCoherent(32, 16);
  memory.view.setUint32(control.address, VIRTIO_BLK_T_IN, true);
  const list = new ScatterList(3);
  list.addReadableRegion(control, 0, 16);
  list.addWritableRegion(page, 0, SECTOR_SIZE);
  list.addWritableRegion(control, 16, 1);
  expect(queue.add(list)).toBeGreaterThanOrEqual(0);
  queue.publish();
}

/**
 * Tells the device, and returns the first byte of the page once the request is used, or after a time: a device that
 * cannot reach its ring uses nothing.
 */
function readBy({ machine }: ComposedRun, { queue }: Driver, page: number, timeoutMs: number): number {
  const { memory, transport } = machine;
  const batch = new UsedBatch(1);
  memory.u8.fill(CANARY, page, page + PAGE_SIZE);
  transport.notify(0, queue.nextAvailable);
  const deadline = performance.now() + timeoutMs;
  while (queue.takeUsed(batch) === 0 && performance.now() < deadline) transport.wait(10);
  return memory.u8[page]!;
}

/** What a takeover comes to. */
interface Seen {
  /** What a device of the former owner wrote that comes to its request after the takeover. */
  readonly inFlight: number;
  /** What the device of the next owner wrote that uses the address of the former one. */
  readonly afterReset: number;
  /** Faults that the IOMMU recorded: until the reset, and after it. */
  readonly recorded: readonly [number, number];
}

/**
 * A former owner leaves a request in its ring; the next one takes the IOMMU over; the device comes to the request only
 * then. After that the next owner's driver resets the device, and gives it the address of the former owner's buffer.
 */
function takeOver(run: ComposedRun, open: (run: ComposedRun) => Platform, isReached: boolean): Seen {
  const { memory, transport } = run.machine;
  const former = startDriver(run, run.platform);
  const filler = memory.allocate(PAGE_SIZE, PAGE_SIZE);
  for (let i = 0; i < FILLER_PAGES; i++) former.mapping.premap(filler, PAGE_SIZE, DmaDirection.ToDevice);
  const page = memory.allocate(PAGE_SIZE, PAGE_SIZE);
  const left = former.mapping.premap(page, PAGE_SIZE, DmaDirection.FromDevice);
  // QEMU looks at a ring once by itself when the device starts: one request is complete before another one is left.
  publishRead(run, former, left);
  expect(readBy(run, former, page, USED_MS)).toBe(ON_DISK);
  nap(SETTLED_MS);
  publishRead(run, former, left);

  const next = open(run);
  const recorded = (): number => next.recordedFaults?.().length ?? 0;
  const inFlight = readBy(run, former, page, isReached ? USED_MS : UNREACHED_MS);
  const atOnce = recorded();
  resetDevice(transport);
  const driver = startDriver(run, next);
  publishRead(run, driver, left);
  const afterReset = readBy(run, driver, page, USED_MS);
  const later = recorded();
  resetDevice(transport);
  driver.queue.reset();
  driver.queue.dispose();
  driver.mapping.dispose();
  next.dispose();
  return { inFlight, afterReset, recorded: [atOnce, later] };
}

const PSERIES = `platform: { use: "@virtio-platform/platform-pseries", window: { kind: default } }
machine:
  use: "@virtio-platform/machine-qemu"
  board: pseries
  memory: 256MiB
  hostBridge: { defaultWindowSize: 16MiB }`;
const VTD = `platform: { use: "@virtio-platform/platform-intel-iommu" }
machine: { use: "@virtio-platform/machine-qemu", board: q35, iommu: intel, memory: 64MiB }`;

function pseries(options: object): (run: ComposedRun) => Platform {
  const checked = pseriesOptionsSchema.parse({ window: { kind: 'default' }, ...options });
  return ({ machine }) =>
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what the machine provides under this token
    new PseriesPlatform(checked, machine.memory, { tables: machine.facilities.get(TCE_FACILITY) as never });
}

function vtd(options: object): (run: ComposedRun) => Platform {
  const checked = intelIommuOptionsSchema.parse(options);
  return ({ machine }) =>
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what the machine provides under this token
    new IntelIommuPlatform(checked, machine.memory, machine.facilities.get(VTD_FACILITY) as never);
}

describe.skipIf(!QEMU_TESTS.mayRun)(`live tables of a former owner in QEMU (${QEMU_TESTS.needs})`, () => {
  it.each<readonly [string, string, (run: ComposedRun) => Platform, Partial<Seen>]>([
    [
      'are cleared by a POWER kernel after kexec: nothing reaches the old buffer',
      PSERIES,
      pseries({ takeover: 'kexec' }),
      { inFlight: CANARY, afterReset: CANARY },
    ],
    [
      'are held by a POWER kernel after a crash: everything reaches the old buffer',
      PSERIES,
      pseries({ takeover: 'kdump' }),
      { inFlight: ON_DISK, afterReset: ON_DISK },
    ],
    [
      'are left by a kernel that does not look, and lead to memory of the next owner',
      PSERIES,
      pseries({}),
      { inFlight: ON_DISK, afterReset: ON_DISK },
    ],
    [
      'are not used by VT-d after kexec, which records what was tried',
      VTD,
      vtd({ takeover: 'kexec' }),
      { inFlight: CANARY, afterReset: CANARY, recorded: [1, 1] },
    ],
    [
      'are used by VT-d after a crash, until the next driver comes',
      VTD,
      vtd({ takeover: 'kdump' }),
      { inFlight: ON_DISK, afterReset: CANARY, recorded: [0, 1] },
    ],
    [
      'are used by VT-d after a crash, with a queue of the next owner',
      VTD,
      vtd({ takeover: 'kdump', invalidation: 'queued' }),
      { inFlight: ON_DISK, afterReset: CANARY, recorded: [0, 1] },
    ],
  ])('%s', { timeout: 60_000 }, async (name, sections, open, seen) => {
    const run = await startFormer(name.replaceAll(/\W+/g, '-'), sections);
    try {
      expect(takeOver(run, open, seen.inFlight === ON_DISK)).toMatchObject(seen);
    } finally {
      await run.machine.dispose();
    }
  });
});
