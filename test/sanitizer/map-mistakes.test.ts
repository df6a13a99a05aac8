import { DMA_NO_SPACE, DMA_UNREACHABLE, DmaDirection, type DmaMapping } from '@virtio-platform/core/dma';
import { describe, expect, it } from 'vitest';
import { expectFinding, PLATFORMS, WrongGuest } from './wrong-guest.ts';

const HERE = 'map-mistakes.test.ts';
const { ToDevice, FromDevice } = DmaDirection;

/**
 * A mapping that tells of other limits than it has: what a device or an IOMMU may ask for, and none of the shipped
 * platforms does.
 */
function limited(limits: Partial<DmaMapping['limits']>): (mapping: DmaMapping) => DmaMapping {
  return (mapping) => {
    Object.defineProperty(mapping, 'limits', { value: { ...mapping.limits, ...limits } });
    return mapping;
  };
}

/** A mapping in which nothing more has room. */
function full(guest: WrongGuest): { mapping: DmaMapping; address: number } {
  const mapping = guest.mapping();
  const address = guest.memory.allocate(4096 * 300);
  for (let i = 0; mapping.map(address + i * 4096, 64, FromDevice, guest.words, 0) >= 0;) i++;
  return { mapping, address: address + 4096 * 299 };
}

/** Maps two buffers of `length` bytes, one behind the other, at the start of an allocation. Returns the first one. */
function mapTwo(guest: WrongGuest, allocated: number, length: number): number {
  const mapping = guest.mapping();
  const address = guest.memory.allocate(allocated);
  mapping.map(address, length, FromDevice, guest.words, 0);
  mapping.map(address + length, length, FromDevice, guest.words, 0);
  return address;
}

describe.each(PLATFORMS)('a driver on %s', (platform) => {
  it('DD-01 that maps two buffers with one first cache line is found', () => {
    const guest = new WrongGuest(platform);
    const address = mapTwo(guest, 128, 16);
    const finding = expectFinding(guest, 'DMA-OVERLAP', { queue: 0 }, HERE);
    expect(finding.buffer).toEqual({ address: address + 16, length: 16, direction: 'from-device' });
    expect(finding.what).toContain(`0x${address.toString(16)}+16`);
    expect(finding.mappedAt[0]).toContain(HERE);
  });

  it('DD-01 that maps buffers which the device only reads is right: they may share', () => {
    const guest = new WrongGuest(platform);
    const mapping = guest.mapping();
    const address = guest.written(64);
    mapping.map(address, 64, ToDevice, guest.words, 0);
    mapping.map(address, 32, ToDevice, guest.words, 0);
    expect(guest.codes()).toEqual([]);
  });

  it('DD-02 that maps one line again and again is found once it has it more than seven times', () => {
    const guest = new WrongGuest(platform);
    const mapping = guest.mapping();
    const address = guest.memory.allocate(64);
    for (let i = 0; i < 8; i++) mapping.map(address + 8 * i, 8, FromDevice, guest.words, 0);
    const found = guest.codes().filter((code) => code !== 'DMA-OVERLAP');
    expect(found).toEqual(['DMA-OVERLAP-COUNT']);
    expect(guest.sanitizer.findings.entries.at(-1)!.what).toContain('8 times');
  });

  it('DD-12 that maps memory which was not allocated, as a stack would be, is found', () => {
    const guest = new WrongGuest(platform);
    const mapping = guest.mapping();
    const address = guest.memory.allocate(4096);
    guest.memory.free(address);
    mapping.map(address, 64, FromDevice, guest.words, 0);
    const finding = expectFinding(guest, 'DMA-MAP-UNALLOCATED', { queue: 0 }, HERE);
    expect(finding.buffer).toEqual({ address, length: 64, direction: 'from-device' });
  });

  it('DD-13 that maps what is its own code, here its ring, is found', () => {
    const guest = new WrongGuest(platform);
    const { queue, mapping } = guest.queue();
    const { address } = queue.memory.ring;
    mapping.map(address + 64, 64, FromDevice, guest.words, 0);
    expectFinding(
      guest,
      'DMA-MAP-RING',
      { queue: 0, buffer: { address: address + 64, length: 64, direction: 'from-device' } },
      HERE,
    );
  });

  it('DD-22 that maps an address outside of memory is found, and gets a reason', () => {
    const guest = new WrongGuest(platform);
    const address = guest.raw.size - 16;
    const mapping = guest.mapping();
    expect(mapping.map(address, 64, FromDevice, guest.words, 0)).toBe(DMA_UNREACHABLE);
    expectFinding(guest, 'DMA-MAP-INVALID', { queue: 0, buffer: { address, length: 64, direction: undefined } }, HERE);
    expect(() => mapping.premap(2 ** 40, 64, FromDevice)).toThrow(expect.objectContaining({ code: 'ERR_DMA_RANGE' }));
    expect(guest.codes()).toEqual(['DMA-MAP-INVALID', 'DMA-MAP-INVALID']);
  });

  it('DD-22 that maps page 0 is found', () => {
    const guest = new WrongGuest(platform);
    guest.mapping().map(16, 64, FromDevice, guest.words, 0);
    expectFinding(guest, 'DMA-MAP-INVALID', { buffer: { address: 16, length: 64, direction: undefined } }, HERE);
  });

  it('DD-23 that maps more than it allocated, as in a vmalloc area, is found', () => {
    const guest = new WrongGuest(platform);
    const address = guest.memory.allocate(100);
    guest.memory.allocate(100);
    guest.mapping().map(address, 5000, FromDevice, guest.words, 0);
    const finding = expectFinding(guest, 'DMA-MAP-SPAN', { queue: 0 }, HERE);
    expect(finding.what).toBe('5000 bytes are mapped, and what was allocated ends after 100');
  });

  it('DS-e that maps buffers which meet in the last cache line is found', () => {
    const guest = new WrongGuest(platform);
    const address = mapTwo(guest, 512, 100);
    const finding = expectFinding(guest, 'DMA-OVERLAP-LINE', { queue: 0 }, HERE);
    expect(finding.what).toContain('shares a cache line');
    expect(finding.buffer).toMatchObject({ address: address + 100, length: 100 });
  });

  it('DS-e that maps bytes for the device to write, which another reads, is found', () => {
    const guest = new WrongGuest(platform);
    const mapping = guest.mapping();
    const address = guest.written(512);
    mapping.map(address, 512, ToDevice, guest.words, 0);
    mapping.map(address + 256, 64, FromDevice, guest.words, 0);
    const [finding] = guest.sanitizer.findings.entries;
    expect(finding).toMatchObject({ code: 'DMA-OVERLAP-LINE', check: 'DS-e' });
    expect(finding!.what).toContain('shares bytes');
  });
});

describe('a driver that does not look at limits', () => {
  it('DD-20 is found with a segment that is longer than one may be', () => {
    const guest = new WrongGuest('sev');
    const { list, mapping, queue } = guest.queue();
    const region = mapping.premap(guest.memory.allocate(512 * 1024), 512 * 1024, FromDevice);
    list.addWritableRegion(region, 512, 300 * 1024);
    const descriptor = queue.add(list);
    const finding = expectFinding(guest, 'DMA-SEGMENT-LENGTH', { queue: 0, descriptor }, HERE);
    expect(finding.what).toBe('a segment of 307200 bytes is longer than the 262144 that one may have');
    expect(finding.buffer).toMatchObject({ address: region.address + 512, length: 300 * 1024 });
  });

  it('DD-21 is found with a segment across a boundary', () => {
    const guest = new WrongGuest('pseries');
    const mapping = guest.mapping(0, 'block', limited({ boundary: 65536 }));
    const { list, queue } = guest.queue(0, 'split', mapping);
    const region = mapping.premap(guest.memory.allocate(2 * 65536, 65536), 2 * 65536, FromDevice);
    region.writeDeviceAddress(0, guest.words, 0);
    const toBoundary = 65536 - (guest.words[0]! % 65536);
    list.addWritableRegion(region, toBoundary - 256, 512);
    const descriptor = queue.add(list);
    const finding = expectFinding(guest, 'DMA-SEGMENT-BOUNDARY', { queue: 0, descriptor }, HERE);
    expect(finding.deviceAddress! % 65536n).toBe(65280n);
  });

  it.each(['sev', 'vfio'] as const)(
    'DS-k is found on %s with a buffer that is too long to map, under its name',
    (name) => {
      const guest = new WrongGuest(name);
      const mapping = guest.mapping();
      const length = mapping.limits.maxMappingSize + 4096;
      const address = guest.memory.allocate(length);
      expect(mapping.map(address, length, FromDevice, guest.words, 0)).toBe(-2);
      const finding = expectFinding(
        guest,
        'DMA-LIMIT',
        { queue: 0, buffer: { address, length, direction: undefined } },
        HERE,
      );
      expect(finding.what).toContain(name);
      expect(finding.what).toContain(String(mapping.limits.maxMappingSize));
    },
  );

  it.each([
    ['the address bits', { addressBits: 12 }, 'more than the 12 bits of legacy'],
    ['the boundary', { boundary: 2048 }, 'crosses a multiple of 2048 bytes, which legacy'],
    ['the length of one mapping', { maxMappingSize: 1000 }, 'which allows 1000'],
  ] as const)('DS-k is found with a mapping beyond %s, for every map', (_what, limits, message) => {
    const guest = new WrongGuest('legacy');
    const mapping = guest.mapping(0, 'block', limited(limits));
    mapping.map(guest.memory.allocate(4096), 4096, FromDevice, guest.words, 0);
    expect(expectFinding(guest, 'DMA-LIMIT', { queue: 0 }, HERE).what).toContain(message);
  });

  it('DS-k is found with a region that is not aligned', () => {
    const guest = new WrongGuest('legacy');
    const mapping = guest.mapping(0, 'block', limited({ alignment: 4096 }));
    mapping.premap(guest.memory.allocate(4096) + 64, 64, FromDevice);
    expect(expectFinding(guest, 'DMA-LIMIT', { queue: 0 }, HERE).what).toContain('aligned to 4096 bytes, as legacy');
  });
});

describe('a map that fails', () => {
  it('DD-11 is found where its result is unmapped', () => {
    const guest = new WrongGuest('pseries');
    const { mapping, address } = full(guest);
    const id = mapping.map(address, 64, FromDevice, guest.words, 0);
    expect(id).toBe(DMA_NO_SPACE);
    expect(() => mapping.unmap(id, 64)).toThrow(RangeError);
    const finding = expectFinding(guest, 'DMA-MAP-UNCHECKED', { queue: 0 }, HERE);
    expect(finding.buffer).toMatchObject({ address, length: 64 });
    expect(finding.mappedAt[0]).toContain(HERE);
  });

  it('DS-g is found where it is used first: in a descriptor, with the address that was there before', () => {
    const guest = new WrongGuest('pseries');
    const { mapping, address } = full(guest);
    const { list, queue } = guest.queue(1);
    mapping.map(address, 64, FromDevice, guest.words, 0);
    list.addWritable(address, 64);
    list.words.set(guest.words);
    list.premapped[0] = 1;
    const descriptor = queue.add(list);
    const finding = expectFinding(guest, 'DMA-FAILED-MAP-USED', { queue: 1, descriptor }, HERE);
    expect(finding.buffer).toMatchObject({ address, length: 64 });
    expect(finding.mappedAt[0]).toContain(HERE);
  });

  it('DS-g is found where arithmetic was done with an error', () => {
    const guest = new WrongGuest('vfio');
    const { list, queue } = guest.queue();
    list.addWritable(guest.memory.allocate(64), 64);
    list.words.set([DMA_NO_SPACE + 16 - 32, -1]);
    list.premapped[0] = 1;
    queue.add(list);
    expectFinding(guest, 'DMA-FAILED-MAP-USED', { queue: 0, deviceAddress: 0xffff_ffff_ffff_ffefn }, HERE);
  });

  it('DS-g is found where it is synced', () => {
    const guest = new WrongGuest('pseries');
    const { mapping, address } = full(guest);
    const id = mapping.map(address, 64, FromDevice, guest.words, 0);
    expect(() => mapping.syncForCpu(id, 0, 64)).toThrow(RangeError);
    expectFinding(guest, 'DMA-FAILED-MAP-USED', { queue: 0 }, HERE);
  });
});
