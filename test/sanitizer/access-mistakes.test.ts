import { DmaDirection } from '@virtio-platform/core/dma';
import { describe, expect, it } from 'vitest';
import { mapWritable, expectFinding, PLATFORMS, WrongGuest } from './wrong-guest.ts';

const HERE = 'access-mistakes.test.ts';
const { ToDevice, FromDevice, Bidirectional } = DmaDirection;

describe.each(PLATFORMS)('a driver on %s', (platform) => {
  it('DS-a that reads a premapped buffer without a sync is found, also where memory is shared', () => {
    const guest = new WrongGuest(platform);
    const queue = guest.queue(0, 'packed');
    const region = queue.mapping.premap(guest.memory.allocate(4096), 4096, FromDevice);
    queue.list.addWritableRegion(region, 256, 64);
    const descriptor = queue.send();
    queue.pop();
    queue.write(0, 64);
    queue.complete(64);
    expect(guest.memory.u32[(region.address + 256) / 4]).toBeTypeOf('number');
    const finding = expectFinding(guest, 'DMA-STALE-READ', { queue: 0, descriptor }, HERE);
    expect(finding.buffer).toEqual({ address: region.address + 256, length: 64, direction: 'from-device' });
    expect(finding.mappedAt[0]).toContain(HERE);
  });

  it('DS-a that reads a buffer while the device may write it is found', () => {
    const guest = new WrongGuest(platform);
    const address = guest.memory.allocate(64);
    guest.mapping().map(address, 64, FromDevice, guest.words, 0);
    guest.memory.view.getUint16(address + 8);
    expectFinding(guest, 'DMA-STALE-READ', { queue: 0, descriptor: undefined }, HERE);
  });

  it('DS-a that syncs or unmaps first is right', () => {
    const guest = new WrongGuest(platform);
    const { mapping, address, id } = mapWritable(guest, 64);
    guest.space.write(guest.words[0]!, guest.words[1]!, new Uint8Array(64).fill(9), 0, 64);
    mapping.syncForCpu(id, 0, 64);
    expect(guest.memory.u8[address]).toBe(9);
    mapping.unmap(id, 64);
    expect([...guest.memory.u8.subarray(address, address + 64)]).toEqual(Array.from({ length: 64 }, () => 9));
    expect(guest.codes()).toEqual([]);
  });

  it('DS-b that writes a buffer which the device has is found', () => {
    const guest = new WrongGuest(platform);
    const queue = guest.queue();
    const address = guest.written(64);
    queue.list.addReadable(address, 64);
    const descriptor = queue.send();
    guest.memory.u8.fill(0, address + 8, address + 16);
    const finding = expectFinding(guest, 'DMA-WRITE-WHILE-MAPPED', { queue: 0, descriptor }, HERE);
    expect(finding.addedAt[1]).toContain(HERE);
    expect(finding.buffer).toEqual({ address, length: 64, direction: 'to-device' });
  });

  it('DS-b that writes after it synced, and before it adds, is found', () => {
    const guest = new WrongGuest(platform);
    const queue = guest.queue();
    const region = queue.mapping.premap(guest.memory.allocate(4096), 4096, ToDevice);
    guest.memory.u8.fill(1, region.address, region.address + 64);
    region.syncForDevice(0, 64);
    guest.memory.u8[region.address + 5] = 2;
    queue.list.addReadableRegion(region, 0, 64);
    const descriptor = queue.queue.add(queue.list);
    const finding = expectFinding(guest, 'DMA-UNSYNCED-WRITE', { queue: 0, descriptor }, HERE);
    expect(finding.what).toContain('byte 5');
    expect(finding.syncedAt[0]).toContain(HERE);
  });

  it('DS-b that writes around the views is found by what changed, and is not taken for seen', () => {
    const guest = new WrongGuest(platform);
    const mapping = guest.mapping();
    const address = guest.written(64);
    const id = mapping.map(address, 64, ToDevice, guest.words, 0);
    new Uint8Array(guest.memory.buffer)[address] = 0xff;
    mapping.unmap(id, 0);
    expectFinding(guest, 'DMA-CHANGED-WHILE-MAPPED', { queue: 0 }, HERE);
    expect(guest.sanitizer.seesDriver).toBe(false);
  });

  it('DS-b that writes what is mapped for the device alone to write is found', () => {
    const guest = new WrongGuest(platform);
    const region = guest.mapping().premap(guest.memory.allocate(4096), 4096, FromDevice);
    guest.memory.u8.set([1, 2, 3], region.address + 64);
    expect(expectFinding(guest, 'DMA-WRITE-WHILE-MAPPED', { queue: 0 }, HERE).buffer?.direction).toBe('from-device');
  });

  it('DS-b that syncs, writes, and syncs again is right', () => {
    const guest = new WrongGuest(platform);
    const mapping = guest.mapping();
    const address = guest.written(64);
    const id = mapping.map(address, 64, ToDevice, guest.words, 0);
    mapping.unmap(id, 0);
    const both = mapping.map(address, 64, Bidirectional, guest.words, 0);
    mapping.syncForCpu(both, 0, 64);
    guest.memory.u8[address] = 0x77;
    mapping.syncForDevice(both, 0, 64);
    const seen = new Uint8Array(64);
    guest.space.read(guest.words[0]!, guest.words[1]!, seen, 0, 64);
    expect(seen[0]).toBe(0x77);
    mapping.unmap(both, 0);
    expect(guest.codes()).toEqual([]);
  });

  it('DS-c whose device works after it unmapped is found', () => {
    const guest = new WrongGuest(platform);
    const mapping = guest.mapping();
    const id = mapping.map(guest.memory.allocate(64), 64, FromDevice, guest.words, 0);
    mapping.unmap(id, 0);
    guest.space.write(guest.words[0]!, guest.words[1]!, new Uint8Array(16), 0, 16);
    const finding = expectFinding(guest, 'DMA-DEVICE-UNMAPPED', { queue: 0 }, HERE);
    expect(finding.what).toBe('the device wrote 16 bytes of a buffer that was unmapped before');
    expect(finding.unmappedAt[0]).toContain(HERE);
  });

  it('DS-c whose device works before anything is mapped is found', () => {
    const guest = new WrongGuest(platform);
    guest.space.read(0x0123_4000, 0x10, new Uint8Array(16), 0, 16);
    expectFinding(guest, 'DMA-DEVICE-UNMAPPED', { queue: undefined, deviceAddress: 0x10_0123_4000n }, HERE);
  });

  it.each([4, 16])('DS-c whose device writes %i bytes before anything is mapped is found', (length) => {
    const guest = new WrongGuest(platform);
    guest.space.write(0x0123_4000, 0x10, new Uint8Array(length), 0, length);
    expectFinding(guest, 'DMA-DEVICE-UNMAPPED', { queue: undefined, deviceAddress: 0x10_0123_4000n }, HERE);
  });

  it('DS-c whose device goes past the end is found, although the page lets it through', () => {
    const guest = new WrongGuest(platform);
    const mapping = guest.mapping();
    mapping.map(guest.memory.allocate(4096), 64, FromDevice, guest.words, 0);
    guest.space.write(guest.words[0]!, guest.words[1]!, new Uint8Array(65), 0, 65);
    const finding = expectFinding(guest, 'DMA-DEVICE-BOUNDS', { queue: 0 }, HERE);
    expect(finding.what).toBe('the device wrote 65 bytes from byte 0 of a mapping of 64: past its end');
  });

  it('DS-c whose device touches the padding of a page, a TCE or a slot is found', () => {
    const guest = new WrongGuest(platform);
    const mapping = guest.mapping();
    mapping.map(guest.memory.allocate(4096), 64, FromDevice, guest.words, 0);
    guest.space.write(guest.words[0]! + 128, guest.words[1]!, new Uint8Array(4), 0, 4);
    const finding = expectFinding(guest, 'DMA-DEVICE-BOUNDS', { queue: 0 }, HERE);
    expect(finding.what).toContain('64 bytes behind a mapping');
    expect(finding.mappedAt[0]).toContain(HERE);
  });

  it.each([
    ['writes what it may read', ToDevice, 'write', 'wrote 8 bytes of a buffer that is mapped for it to read only'],
    ['reads what it may write', FromDevice, 'read', 'read 8 bytes of a buffer that is mapped for it to write only'],
  ] as const)('DS-c whose device %s is found', (_what, direction, access, message) => {
    const guest = new WrongGuest(platform);
    guest.mapping().map(guest.written(64), 64, direction, guest.words, 0);
    const before = guest.codes().length;
    guest.space[access](guest.words[0]!, guest.words[1]!, new Uint8Array(8), 0, 8);
    const [finding, ...more] = guest.sanitizer.findings.entries.slice(before);
    expect(more).toEqual([]);
    expect(finding).toMatchObject({ code: 'DMA-DEVICE-DIRECTION', check: 'DS-c', queue: 0 });
    expect(finding!.what).toContain(message);
  });
});

describe('a driver that gives away what is not its own', () => {
  it.each(['pseries', 'sev', 'vfio'] as const)(
    'DS-d is found on %s: a physical address in a descriptor',
    (platform) => {
      const guest = new WrongGuest(platform);
      const queue = guest.queue();
      // A window and memory both begin with their second page: without this one its bus address would be the physical
      // one.
      guest.memory.allocate(4096);
      const region = queue.mapping.premap(guest.memory.allocate(4096), 4096, FromDevice);
      queue.list.addWritableRegion(region, 0, 64);
      queue.list.words.set([region.address, 0]);
      const descriptor = queue.queue.add(queue.list);
      const [finding] = guest.sanitizer.findings.entries;
      expect(guest.codes()).toHaveLength(1);
      expect(finding).toMatchObject({ queue: 0, descriptor, deviceAddress: BigInt(region.address) });
      // A 32-bit window begins at 0, so that a physical address can be a bus address of something else.
      expect(['DMA-RAW-ADDRESS', 'DMA-FOREIGN-MAPPING']).toContain(finding!.code);
      expect(finding!.check).toBe('DS-d');
      expect(finding!.misusedAt[0]).toContain(HERE);
    },
  );

  it('DS-d is found in the device: it uses a physical address', () => {
    const guest = new WrongGuest('vfio');
    const address = guest.memory.allocate(64);
    guest.space.read(address, 0, new Uint8Array(8), 0, 8);
    expectFinding(guest, 'DMA-RAW-ADDRESS', { deviceAddress: BigInt(address) }, HERE);
  });

  it('DS-d is found with a region of another queue', () => {
    const guest = new WrongGuest('vfio');
    const { list, queue } = guest.queue(0);
    const region = guest.mapping(1).premap(guest.memory.allocate(4096), 4096, FromDevice);
    list.addWritableRegion(region, 0, 64);
    const descriptor = queue.add(list);
    const finding = expectFinding(guest, 'DMA-FOREIGN-MAPPING', { queue: 0, descriptor }, HERE);
    expect(finding.what).toBe('a request of queue 0 uses what is mapped for queue 1 of block');
  });

  it('DS-d is found with the mapping of another device, which the IOMMU lets through', () => {
    const guest = new WrongGuest('vfio');
    guest.mapping(0, 'net').map(guest.memory.allocate(64), 64, FromDevice, guest.words, 0);
    guest.space.write(guest.words[0]!, guest.words[1]!, new Uint8Array(8), 0, 8);
    const finding = expectFinding(guest, 'DMA-FOREIGN-MAPPING', {}, HERE);
    expect(finding.what).toBe('block wrote 8 bytes that are mapped for net');
  });

  it.each(PLATFORMS)('DS-i is found on %s: bytes that were never written', (platform) => {
    const guest = new WrongGuest(platform);
    const address = guest.memory.allocate(64);
    guest.memory.view.setUint32(address, 7);
    guest.mapping().map(address, 16, ToDevice, guest.words, 0);
    expect(expectFinding(guest, 'DMA-UNINITIALISED', { queue: 0 }, HERE).what).toContain('byte 4');
  });

  it('DS-i is found with a premapped buffer where it is added', () => {
    const guest = new WrongGuest('pseries');
    const { list, queue, mapping } = guest.queue();
    const region = mapping.premap(guest.memory.allocate(4096), 4096, ToDevice);
    guest.memory.u8.fill(1, region.address, region.address + 60);
    region.syncForDevice(0, 64);
    list.addReadableRegion(region, 0, 64);
    const descriptor = queue.add(list);
    expect(expectFinding(guest, 'DMA-UNINITIALISED', { queue: 0, descriptor }, HERE).what).toContain('byte 60');
  });

  it('DS-i is found where bouncing shows the old content of a buffer for the device to write', () => {
    const guest = new WrongGuest('sev');
    const address = guest.memory.allocate(64);
    guest.memory.u8.set([...Buffer.from('a secret of the driver')], address);
    guest.mapping().map(address, 64, FromDevice, guest.words, 0);
    expectFinding(guest, 'DMA-OLD-CONTENT', { queue: 0 }, HERE);
  });

  it('DS-i is not where the content is a mark that tells nothing, or nothing bounces', () => {
    const guest = new WrongGuest('sev');
    const address = guest.memory.allocate(64);
    guest.memory.u8.fill(0xff, address, address + 64);
    guest.mapping().map(address, 64, FromDevice, guest.words, 0);
    const other = new WrongGuest('vfio');
    other.mapping().map(other.written(64), 64, FromDevice, other.words, 0);
    expect([...guest.codes(), ...other.codes()]).toEqual([]);
  });
});

describe('a driver that reads twice', () => {
  it.each(['legacy', 'pseries', 'vfio'] as const)(
    'DS-j is found on %s, where the device can change it in between',
    (platform) => {
      const guest = new WrongGuest(platform);
      const queue = guest.queue();
      const region = queue.mapping.premap(guest.memory.allocate(4096), 4096, FromDevice);
      queue.list.addWritableRegion(region, 0, 64);
      const descriptor = queue.send();
      queue.pop();
      queue.write(0, 64, 5);
      queue.complete(64);
      region.syncForCpu(0, 64);
      const length = guest.memory.u8[region.address]!;
      expect(guest.codes()).toEqual([]);
      expect(guest.memory.u8[region.address]).toBe(length);
      const finding = expectFinding(guest, 'DMA-DOUBLE-FETCH', { queue: 0, descriptor }, HERE);
      expect(finding.syncedAt[0]).toContain(HERE);
    },
  );

  it('DS-j is not where the bytes were copied to private memory', () => {
    const guest = new WrongGuest('sev');
    const queue = guest.queue();
    const region = queue.mapping.premap(guest.memory.allocate(4096), 4096, FromDevice);
    queue.list.addWritableRegion(region, 0, 64);
    queue.send();
    queue.pop();
    queue.write(0, 64, 5);
    queue.complete(64);
    region.syncForCpu(0, 64);
    expect([guest.memory.u8[region.address], guest.memory.u8[region.address]]).toEqual([5, 5]);
    expect(guest.codes()).toEqual([]);
  });
});

describe('an interrupt of a device', () => {
  const RANGE = { what: 'interrupt range', kind: 'interrupts', deviceAddress: 0x10_0000n, length: 0x1000 } as const;

  /** A guest without an IOMMU, where everything is let through. */
  function guestWithInterrupts(device = 'block'): WrongGuest {
    const guest = new WrongGuest('legacy');
    guest.sanitizer.interrupts([RANGE], device);
    return guest;
  }

  it.each([0x10_0000, 0x10_0ffc])('is no finding where the unit lets it through: at 0x%x', (low) => {
    const guest = guestWithInterrupts();
    expect(guest.space.write(low, 0, new Uint8Array(4).fill(7), 0, 4)).toBe(true);
    expect([guest.raw.u8[low], guest.codes()]).toEqual([7, []]);
  });

  it.each([
    ['two words', 0x10_0000, 0, 8],
    ['half a word', 0x10_0000, 0, 2],
    ['a word across two', 0x10_0002, 0, 4],
  ])('is not %s, which is a finding that says where', (_what, low, high, length) => {
    const guest = guestWithInterrupts();
    guest.space.write(low, high, new Uint8Array(8), 0, length);
    expect(expectFinding(guest, 'DMA-DEVICE-UNMAPPED', { queue: undefined }, HERE).what).toBe(
      `the device wrote ${length} bytes at an address of the interrupt range, where nothing can be mapped`,
    );
  });

  it.each([
    ['a word before them', 'block', 0xf_fffc, 0],
    ['a word behind them', 'block', 0x10_1000, 0],
    ['a word 4 GiB above', 'block', 0x10_0000, 1],
    ['a word where only another device has them', 'net', 0x10_0000, 0],
  ])('is not %s', (_what, device, low, high) => {
    const guest = guestWithInterrupts(device);
    guest.space.write(low, high, new Uint8Array(4), 0, 4);
    expect(expectFinding(guest, 'DMA-DEVICE-UNMAPPED', { queue: undefined }, HERE).what).toBe(
      'the device wrote 4 bytes at an address where nothing is mapped',
    );
  });

  it('is no read', () => {
    const guest = guestWithInterrupts();
    guest.space.read(0x10_0000, 0, new Uint8Array(4), 0, 4);
    expectFinding(guest, 'DMA-DEVICE-UNMAPPED', { queue: undefined }, HERE);
  });
});
