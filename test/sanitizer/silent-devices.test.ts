import { join } from 'node:path';
import { DmaDirection, type DmaMapping } from '@virtio-platform/core/dma';
import { FailingDmaMapping, FailurePlan } from '@virtio-platform/core/failure';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { loadProfiles } from '@virtio-platform/profile';
import { runProfile } from '@virtio-platform/runner';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../command/command.ts';
import { expectFinding, PLATFORMS, WrongGuest, type WrongQueue } from './wrong-guest.ts';
const HERE = 'silent-devices.test.ts';
const { FromDevice, Bidirectional } = DmaDirection;
const LAYOUTS = ['split', 'packed'] as const;

/** A driver that forgot to map the first buffer or pool, and passes on an address all the same. */
function forgetful(mapping: DmaMapping): DmaMapping {
  const never = new FailurePlan();
  return new FailingDmaMapping(mapping, { map: never, region: never, wrongAddress: new FailurePlan({ nth: [1] }) });
}

function forgetfulQueue(guest: WrongGuest): WrongQueue {
  return guest.queue(0, 'split', guest.mapping(0, 'block', forgetful));
}

/** Bytes that tell where they are. */
function bytesAt(guest: WrongGuest, address: number, length: number): number[] {
  return [...guest.raw.u8.subarray(address, address + length)];
}

describe.each(PLATFORMS)('a driver on %s', (platform) => {
  it('DS-o that gives away a buffer which is not mapped is found', () => {
    const guest = new WrongGuest(platform);
    const queue = forgetfulQueue(guest);
    const address = guest.written(2 * PAGE_SIZE);
    queue.list.addReadable(address, 2 * PAGE_SIZE);
    const descriptor = queue.queue.add(queue.list);
    const finding = expectFinding(guest, 'DMA-NOT-TRANSLATED', { queue: 0, descriptor }, HERE);
    expect(finding.what).toContain('for byte 0 of a buffer that is given to the device, leads nowhere');
    expect(finding.buffer).toEqual({ address, length: 2 * PAGE_SIZE, direction: 'to-device' });
  });

  it('DS-o that uses a pool which is not mapped is found once, however often it uses it', () => {
    const guest = new WrongGuest(platform);
    const queue = forgetfulQueue(guest);
    const region = queue.mapping.premap(guest.memory.allocate(PAGE_SIZE), PAGE_SIZE, FromDevice);
    for (const offset of [0, 512, 1024]) {
      queue.list.clear();
      queue.list.addWritableRegion(region, offset, 512);
      queue.queue.add(queue.list);
    }
    expectFinding(guest, 'DMA-NOT-TRANSLATED', { queue: 0 }, HERE);
  });

  it('DS-o that maps what it gives away is right, in each page, mapped or premapped', () => {
    const guest = new WrongGuest(platform);
    const queue = guest.queue();
    const address = guest.written(4 * PAGE_SIZE);
    queue.list.addReadable(address + 100, 3 * PAGE_SIZE);
    const region = queue.mapping.premap(guest.memory.allocate(4 * PAGE_SIZE), 4 * PAGE_SIZE, Bidirectional);
    queue.list.addWritableRegion(region, 5, 3 * PAGE_SIZE);
    queue.queue.add(queue.list);
    expect(guest.codes()).toEqual([]);
  });
});

// Where buffers are copied, any copy is as good as another.
describe.each(PLATFORMS.filter((name) => name !== 'sev'))(
  'a driver on %s, whose buffers are not copied',
  (platform) => {
    it('DS-o that mixes up the addresses of two pages is found', () => {
      const guest = new WrongGuest(platform);
      const queue = guest.queue();
      const region = queue.mapping.premap(guest.memory.allocate(3 * PAGE_SIZE), 3 * PAGE_SIZE, FromDevice);
      queue.list.addWritableRegion(region, PAGE_SIZE, 64);
      region.writeDeviceAddress(2 * PAGE_SIZE, queue.list.words, 0);
      queue.queue.add(queue.list);
      const finding = expectFinding(guest, 'DMA-NOT-TRANSLATED', { queue: 0 }, HERE);
      expect(finding.what).toContain(`leads to 0x${(region.address + 2 * PAGE_SIZE).toString(16)}`);
    });
  },
);

describe.each(PLATFORMS)('a device on %s', (platform) => {
  it.each(LAYOUTS)('DS-p that says it wrote a buffer of a %s queue, and did not, is found', (layout) => {
    const guest = new WrongGuest(platform);
    const queue = guest.queue(0, layout);
    const address = guest.written(64);
    const before = bytesAt(guest, address, 64);
    queue.list.addWritable(address, 64);
    const descriptor = queue.send();
    queue.pop();
    queue.complete(64);
    const [finding] = guest.sanitizer.findings.entries.filter(({ code }) => code !== 'DMA-OLD-CONTENT');
    expect(finding).toMatchObject({ code: 'DMA-DEVICE-WROTE-NOTHING', queue: 0, descriptor });
    expect(finding?.buffer).toEqual({ address, length: 64, direction: 'from-device' });
    expect(bytesAt(guest, address, 64)).toEqual(before);
  });

  it.each(LAYOUTS)('DS-p that says it wrote part of a pool of a %s queue, and did not, is found', (layout) => {
    const guest = new WrongGuest(platform);
    const queue = guest.queue(0, layout);
    const region = queue.mapping.premap(guest.memory.allocate(PAGE_SIZE), PAGE_SIZE, FromDevice);
    queue.list.addWritableRegion(region, 128, 64);
    queue.list.addWritableRegion(region, 1024, 64);
    queue.send();
    queue.pop();
    queue.write(0, 64);
    queue.complete(128);
    expect(guest.codes()).toEqual(['DMA-DEVICE-WROTE-NOTHING']);
    expect(guest.sanitizer.findings.entries[0]?.buffer?.address).toBe(region.address + 1024);
    region.syncForCpu(1024, 64);
    expect(bytesAt(guest, region.address + 1024, 64)).toEqual(Array.from({ length: 64 }, () => 0));
  });

  it.each([0, 1, 7, 8, 63, 64])('DS-p that wrote %i of 64 bytes is right, and the rest is as it was', (written) => {
    const guest = new WrongGuest(platform);
    const queue = guest.queue();
    const region = queue.mapping.premap(guest.memory.allocate(PAGE_SIZE), PAGE_SIZE, Bidirectional);
    const address = guest.memory.allocate(PAGE_SIZE);
    guest.memory.u8.fill(7, region.address, region.address + 64);
    guest.memory.u8.fill(7, address, address + 64);
    region.syncForDevice(0, 64);
    const expected = Array.from({ length: 64 }, (_, i) => (i < written ? 0xdd : 7));
    queue.list.addWritableRegion(region, 0, 64);
    queue.send();
    queue.list.addWritable(address, 64);
    queue.send();
    for (let i = 0; i < 2; i++) {
      queue.pop();
      if (written > 0) queue.write(0, written);
      queue.complete(written);
    }
    region.syncForCpu(0, 64);
    expect(bytesAt(guest, region.address, 64)).toEqual(expected);
    expect(bytesAt(guest, address, 64)).toEqual(expected);
    expect(guest.codes()).toEqual([]);
  });

  it('DS-p that leaves a status alone which the driver preset is not judged', () => {
    const guest = new WrongGuest(platform);
    const queue = guest.queue();
    const address = guest.memory.allocate(PAGE_SIZE);
    guest.memory.u8.fill(0xff, address, address + 7);
    queue.list.addWritable(address, 7);
    queue.send();
    queue.pop();
    expect(bytesAt(guest, address, 7)).toEqual(Array.from({ length: 7 }, () => 0xff));
    queue.complete(7);
    expect(guest.codes()).toEqual([]);
  });

  it('DS-p that returns nothing, and is reset, leaves the buffer as it was', () => {
    const guest = new WrongGuest(platform);
    const queue = guest.queue();
    const address = guest.memory.allocate(PAGE_SIZE);
    guest.memory.u8.fill(7, address, address + 64);
    queue.list.addWritable(address, 64);
    queue.send();
    queue.queue.reset();
    expect(bytesAt(guest, address, 64)).toEqual(Array.from({ length: 64 }, () => 7));
    expect(guest.codes()).toEqual([]);
  });

  it('DS-q that writes to memory which was not allocated is found at the end', () => {
    const guest = new WrongGuest(platform);
    guest.sanitizer.fillUnusedMemory();
    const used = guest.memory.allocate(100, 1);
    guest.memory.u8.fill(1, used, used + 100);
    guest.memory.free(used);
    guest.sanitizer.checkUnusedMemory();
    expect(guest.codes()).toEqual([]);
    const at = guest.raw.size - 5000;
    guest.raw.u8[at + 3]! ^= 0xff;
    guest.raw.u8[at + 9]! ^= 1;
    guest.sanitizer.checkUnusedMemory();
    const [finding, another] = guest.sanitizer.findings.entries;
    expect(finding).toMatchObject({ code: 'DMA-OUTSIDE-WRITTEN', misusedAt: [], queue: undefined });
    expect(finding?.buffer).toMatchObject({ address: at + 3, length: 7 });
    expect([finding?.what.startsWith('2 bytes changed'), another]).toEqual([true, undefined]);
  });

  it('DS-q that writes just behind what was allocated is found, to the byte', () => {
    const guest = new WrongGuest(platform);
    const used = guest.memory.allocate(101, 1);
    guest.sanitizer.fillUnusedMemory();
    guest.raw.u8[used + 100]! ^= 1;
    guest.sanitizer.checkUnusedMemory();
    expect(guest.codes()).toEqual([]);
    guest.raw.u8[used + 101]! ^= 1;
    guest.sanitizer.checkUnusedMemory();
    expect(guest.sanitizer.findings.entries[0]?.buffer).toMatchObject({ address: used + 101, length: 1 });
  });
});

describe.each(['same-thread', 'worker'])('DS-q a rogue device in %s', (device) => {
  it.each([
    ['legacy-device.yaml', 0xf0_0000, 64, 64],
    ['no-iommu-identity.yaml', 0xf0_0008, 4, 4],
    // What a device writes to an encrypted page garbles the whole cipher block for the guest.
    ['sev-bounce.yaml', 0x1e0_0000, 4, 16],
    // An IOMMU stops it.
    ['pseries-dynamic.yaml', 0x3ff0_0000, 64, 0],
    ['vfio-pool.yaml', 0x4000_0000, 64, 0],
  ])('that writes to unused memory in %s is found by what changed there', async (base, address, length, changed) => {
    const [profile] = await loadProfiles(join(ROOT, 'profiles', base));
    const { machine, driver, workload } = profile!;
    const rogue = [{ after: 50, access: 'write', address, length }];
    const report = await runProfile({
      ...profile!,
      machine: { ...machine, options: { ...machine.options, device, onFault: 'zeros', rogue } },
      driver: { ...driver, sanitize: true },
      workload: { ...workload, requests: 100 },
    });
    const outside = report.findings.filter(({ code }) => code === 'DMA-OUTSIDE-WRITTEN');
    const seen = outside.map(({ buffer }) => [buffer?.address, buffer?.length]);
    expect(seen).toEqual(changed === 0 ? [] : [[`0x${address.toString(16)}`, changed]]);
    expect(report.workload.verified).toBe(true);
  });
});
