import { BLOCK_FEATURES, SECTOR_SIZE, VIRTIO_BLK_T_OUT } from '@virtio-platform/device-block';
import { ringOptions } from '@virtio-platform/conformance/testing';
import { closeSync, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { resetDevice, startDevice } from '@virtio-platform/core/device';
import { DmaDirection, type DmaMapping } from '@virtio-platform/core/dma';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { openVirtqueue, ScatterList, UsedBatch, type Virtqueue } from '@virtio-platform/core/queue';
import { composeRun, loadProfiles, type ComposedRun } from '@virtio-platform/profile';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { initializeBlock } from './initialize-block.ts';
import { QEMU_TESTS } from './qemu-installed.ts';
/** Few I/O virtual pages, so that they come round within a few requests. */
const APERTURE_PAGES = 32;
const REQUESTS = 64;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A profile whose platform loses what `failures` say, and the image of its disk. */
async function compose(
  name: string,
  platform: string,
  unit = '{}',
): Promise<{ readonly run: ComposedRun; readonly image: string }> {
  const image = join(folder, `${name}.raw`);
  const file = openSync(image, 'w');
  ftruncateSync(file, REQUESTS * SECTOR_SIZE);
  closeSync(file);
  const path = join(folder, `${name}.yaml`);
  writeFileSync(
    path,
    `profile: ${name}
summary: Each request has a page of its own.
platform:
  use: "@virtio-platform/platform-intel-iommu"
  aperture: ${APERTURE_PAGES * PAGE_SIZE}
  largePages: false
${platform}
machine: { use: "@virtio-platform/machine-qemu", board: q35, iommu: intel, intelIommu: ${unit}, memory: 64MiB }
device: { type: block, capacity: 32KiB, image: "${image}", offers: [VERSION_1, ACCESS_PLATFORM] }
workload: { kind: write-read-verify, requests: 1, depth: 1, blockSize: 512B }
`,
  );
  const [profile] = await loadProfiles(path);
  return { run: await composeRun(profile!), image };
}

/**
 * Writes sector after sector, each from a page that is mapped for it alone and taken back after it. Sector n gets n +
 * 1; a page that was unmapped is filled with a pattern of its own, which shows a device that still reads it.
 * Returns what the disk then has, and of which sectors the platform would not say that the address led to the page.
 */
function writeSectors(run: ComposedRun, image: string): { readonly disk: Buffer; readonly doubtful: number[] } {
  const { machine, platform } = run;
  const { memory, transport } = machine;
  const { path, accepted } = initializeBlock(run);
  expect([path, accepted.names(BLOCK_FEATURES)]).toEqual(['translated', ['VERSION_1', 'ACCESS_PLATFORM']]);
  const mapping = platform.openMapping(path!, { queue: 0, capacity: 8 });
  const queue = openVirtqueue('split', memory, mapping, ringOptions());
  transport.interruptMessages?.receiveIn(mapping.allocateCoherent(transport.interruptMessages.bytes, 4));
  transport.enableQueue(0, queue.addresses);
  startDevice(transport);

  const control = mapping.allocateCoherent(32, 16);
  const list = new ScatterList(3);
  const doubtful: number[] = [];
  for (let sector = 0; sector < REQUESTS; sector++) {
    const page = memory.allocate(PAGE_SIZE);
    memory.u8.fill(sector + 1, page, page + SECTOR_SIZE);
    const data = mapping.premap(page, SECTOR_SIZE, DmaDirection.ToDevice);
    if (!leadsTo(mapping, data, page)) doubtful.push(sector);
    memory.view.setUint32(control.address, VIRTIO_BLK_T_OUT, true);
    memory.view.setUint32(control.address + 8, sector, true);
    memory.u8[control.address + 16] = 0xff;
    list.clear();
    list.addReadableRegion(control, 0, 16);
    list.addReadableRegion(data, 0, SECTOR_SIZE);
    list.addWritableRegion(control, 16, 1);
    expect(queue.add(list)).toBeGreaterThanOrEqual(0);
    if (queue.publish()) transport.notify(0, queue.nextAvailable);
    awaitRequest(queue, run);
    // Whatever the device made of the address, it says that all is well.
    expect(memory.u8[control.address + 16]).toBe(0);
    data.release();
    memory.u8.fill(0xee, page, page + SECTOR_SIZE);
  }
  resetDevice(transport);
  queue.reset();
  queue.dispose();
  mapping.dispose();
  return { disk: readFileSync(image), doubtful };
}

/** Whether the tables lead from the device address of a region to its page, and nothing older can. */
function leadsTo(
  mapping: DmaMapping,
  region: { writeDeviceAddress: (o: number, w: Uint32Array, at: number) => void },
  page: number,
): boolean {
  const words = new Uint32Array(2);
  region.writeDeviceAddress(0, words, 0);
  return mapping.resolve!(words[0]!, words[1]!) === page;
}

function awaitRequest(queue: Virtqueue, { machine }: ComposedRun): void {
  const batch = new UsedBatch(1);
  for (let waits = 0; queue.takeUsed(batch) === 0; waits++) {
    expect([queue.broken, waits < 100]).toEqual([undefined, true]);
    if (queue.enableNotifications()) machine.transport.wait(50);
  }
}

/** The sectors that do not have what was written to them. */
function wrongSectors(disk: Buffer): number[] {
  return Array.from({ length: REQUESTS }, (_, sector) => sector).filter(
    (sector) => disk[sector * SECTOR_SIZE] !== sector + 1,
  );
}

describe.skipIf(!QEMU_TESTS.mayRun)(`translations that QEMU has cached (${QEMU_TESTS.needs})`, () => {
  it.each(['registers', 'queued'])('are gone once they were invalidated: %s', async (invalidation) => {
    const { run, image } = await compose(`invalidated-${invalidation}`, `  invalidation: ${invalidation}`);
    try {
      const { disk, doubtful } = writeSectors(run, image);
      expect([wrongSectors(disk), doubtful]).toEqual([[], []]);
      expect(run.platform.recordedFaults?.()).toEqual([]);
    } finally {
      await run.dispose();
    }
  });

  it.each([
    ['registers', 'invalidation'],
    ['queued', 'invalidation'],
    ['queued', 'timeout'],
  ])(
    'are used on where they were not, and the platform says which addresses are affected: %s, %s',
    async (how, lost) => {
      const careless = `  invalidation: ${how}\n  onLostInvalidation: reuse\n  failures: { ${lost}: { every: 1 } }`;
      const { run, image } = await compose(`stale-${how}-${lost}`, careless);
      try {
        const { disk, doubtful } = writeSectors(run, image);
        const wrong = wrongSectors(disk);
        // Once the addresses come round, each leads QEMU to the page of the one before.
        expect(wrong.length).toBeGreaterThan(REQUESTS - APERTURE_PAGES - 1);
        expect(wrong.every((sector) => disk[sector * SECTOR_SIZE] === 0xee)).toBe(true);
        // It cannot know what the unit has cached: an address that the device never used is doubtful too.
        expect(wrong.filter((sector) => !doubtful.includes(sector))).toEqual([]);
        expect(doubtful.length).toBeLessThan(REQUESTS);
        expect(run.platform.recordedFaults?.()).toEqual([]);
      } finally {
        await run.dispose();
      }
    },
  );
});

describe.skipIf(!QEMU_TESTS.mayRun)(`what QEMU's unit does not have (${QEMU_TESTS.needs})`, () => {
  it.each([
    ['57 bits', '  addressWidth: 57', '{ addressWidth: 48 }', /57 bits .*: 39 or 48/, /platform\.addressWidth/],
    ['48 bits', '  addressWidth: 48', '{}', /48 bits .*: 39/, /machine\.intelIommu\.addressWidth/],
    [
      'scalable mode',
      '  mode: scalable\n  invalidation: queued',
      '{}',
      /ECAP\.SMTS/,
      /machine\.intelIommu\.scalableMode/,
    ],
    [
      'interrupt remapping',
      '  interruptRemapping: true\n  invalidation: queued',
      '{}',
      /ECAP\.IR/,
      /machine\.intelIommu\.interruptRemapping/,
    ],
    ['pass-through', '  domain: pass-through', '{ passThrough: false }', /ECAP\.PT/, /platform\.domain/],
  ])('is an error that names the option: %s', async (name, platform, unit, message, hint) => {
    await expect(compose(name.replace(' ', '-'), platform, unit)).rejects.toMatchObject({
      code: 'ERR_IOMMU_UNSUPPORTED',
      message: expect.stringMatching(message),
      hint: expect.stringMatching(hint),
    });
  });
});
