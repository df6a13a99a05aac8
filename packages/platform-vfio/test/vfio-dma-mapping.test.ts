import { DMA_NO_SPACE, DMA_TOO_LARGE, DMA_UNREACHABLE, DmaDirection, type DmaMapping } from '@virtio-platform/core/dma';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import { EINVAL, ENOMEM, type Type1Container, type VfioOptionsInput } from '@virtio-platform/platform-vfio';
import { startProcess, type UserProcess } from './user-process.ts';

const { Bidirectional, FromDevice, ToDevice } = DmaDirection;

interface Opened extends UserProcess {
  readonly mapping: DmaMapping;
  readonly words: Uint32Array;
}

function open(input?: VfioOptionsInput, kernel?: (container: Type1Container) => Type1Container, capacity = 8): Opened {
  const process = startProcess(input, kernel);
  const mapping = process.platform.openMapping('translated', { queue: 0, capacity });
  return { ...process, mapping, words: new Uint32Array(2).fill(0xdead_beef) };
}

function addressOf(words: Uint32Array): number {
  return words[1]! * 2 ** 32 + words[0]!;
}

describe('VfioDmaMapping.map', () => {
  it('gives the device the bytes of the buffer, at an address that is not the physical one', () => {
    const { memory, mapping, words, space } = open();
    memory.allocate(64 * 1024);
    const buffer = memory.allocate(PAGE_SIZE) + 100;
    mapping.map(buffer, 50, ToDevice, words, 0);
    expect(space.borrow(words[0]!, words[1]!, 50, 'read')).toBe(buffer);
    expect(addressOf(words)).not.toBe(buffer);
  });

  it('uses I/O virtual address 0', () => {
    const { memory, mapping, words, space, faults } = open();
    const buffer = memory.allocate(PAGE_SIZE);
    mapping.map(buffer, PAGE_SIZE, Bidirectional, words, 0);
    expect([...words]).toEqual([0, 0]);
    expect(space.borrow(0, 0, PAGE_SIZE, 'write')).toBe(buffer);
    expect(faults.count).toBe(0);
  });

  it('starts where the profile says', () => {
    const { memory, mapping, words } = open({ iovaStart: 0x12_3456_7000n });
    mapping.map(memory.allocate(PAGE_SIZE), PAGE_SIZE, Bidirectional, words, 0);
    expect([...words]).toEqual([0x3456_7000, 0x12]);
  });

  it.each([
    [ToDevice, true, false],
    [FromDevice, false, true],
    [Bidirectional, true, true],
  ])('permits for direction %i reading %s and writing %s', (direction, mayRead, mayWrite) => {
    const { memory, mapping, words, space } = open();
    mapping.map(memory.allocate(PAGE_SIZE), 100, direction, words, 0);
    expect(space.borrow(words[0]!, words[1]!, 100, 'read') >= 0).toBe(mayRead);
    expect(space.borrow(words[0]!, words[1]!, 100, 'write') >= 0).toBe(mayWrite);
  });

  it('takes the address away on unmap, and uses it again only after all others', () => {
    const { memory, mapping, words, space, faults } = open();
    const buffer = memory.allocate(PAGE_SIZE);
    const seen = new Set<number>();
    for (let i = 0; i < 8; i++) {
      mapping.unmap(mapping.map(buffer, 100, Bidirectional, words, 0), 100);
      seen.add(addressOf(words));
      expect(space.borrow(words[0]!, words[1]!, 100, 'read')).toBe(-1);
    }
    expect(seen.size).toBe(8);
    expect(faults.count).toBe(8);
    mapping.map(buffer, 100, Bidirectional, words, 0);
    expect(seen).toContain(addressOf(words));
  });

  it('has room for as many as it was opened for, in whatever order they come back', () => {
    const { memory, mapping, words } = open();
    const buffer = memory.allocate(PAGE_SIZE);
    const live: { id: number; iova: number }[] = [];
    for (let step = 0; step < 500; step++) {
      if (live.length === 8) mapping.unmap(live.splice((step * 7) % 8, 1)[0]!.id, 0);
      const id = mapping.map(buffer, 100, ToDevice, words, 0);
      expect(id).toBeGreaterThanOrEqual(0);
      expect(live.map(({ iova }) => iova)).not.toContain(addressOf(words));
      live.push({ id, iova: addressOf(words) });
    }
    expect(mapping.statistics.live).toBe(8);
  });

  it('loses no room to mappings that failed', () => {
    let refuses = true;
    const { memory, mapping, words } = open({}, (container) => ({
      type: container.type,
      info: () => container.info(),
      checkExtension: (extension) => container.checkExtension(extension),
      mapDma: (...request) => (refuses ? ENOMEM : container.mapDma(...request)),
      unmapDma: (iova, size) => container.unmapDma(iova, size),
    }));
    const buffer = memory.allocate(PAGE_SIZE);
    for (let i = 0; i < 20; i++) expect(mapping.map(buffer, 16, ToDevice, words, 0)).toBe(DMA_NO_SPACE);
    expect(mapping.statistics.live).toBe(0);
    refuses = false;
    for (let i = 0; i < 8; i++) expect(mapping.map(buffer, 16, ToDevice, words, 0)).toBeGreaterThanOrEqual(0);
  });

  it('maps the longest buffer wherever it begins, and refuses a longer one', () => {
    const { memory, mapping, words, space } = open({ memoryLockLimit: '64MiB' });
    const buffer = memory.allocate(2 * 2 ** 20);
    const { maxMappingSize } = mapping.limits;
    const ids = Array.from({ length: 8 }, () => mapping.map(buffer + 4095, maxMappingSize, ToDevice, words, 0));
    expect(ids.every((id) => id >= 0)).toBe(true);
    expect(space.borrow(words[0]!, words[1]!, maxMappingSize, 'read')).toBe(buffer + 4095);
    expect(mapping.map(buffer, maxMappingSize + 1, ToDevice, words, 0)).toBe(DMA_TOO_LARGE);
  });

  it('has no space over the memory-lock limit, and has it again after an unmap', () => {
    const { memory, mapping, words } = open({ memoryLockLimit: 2 * PAGE_SIZE });
    const buffer = memory.allocate(PAGE_SIZE);
    const id = mapping.map(buffer, 16, ToDevice, words, 0);
    mapping.map(buffer, 16, ToDevice, words, 0);
    words.fill(7);
    expect(mapping.map(buffer, 16, ToDevice, words, 0)).toBe(DMA_NO_SPACE);
    expect([...words]).toEqual([7, 7]);
    expect(mapping.statistics.live).toBe(2);
    mapping.unmap(id, 0);
    expect(mapping.map(buffer, 16, ToDevice, words, 0)).toBeGreaterThanOrEqual(0);
  });

  it('has no space when the container is full, or more is asked than it was opened for', () => {
    const full = open({ entryLimit: 1 });
    const buffer = full.memory.allocate(PAGE_SIZE);
    full.mapping.map(buffer, 16, ToDevice, full.words, 0);
    expect(full.mapping.map(buffer, 16, ToDevice, full.words, 0)).toBe(DMA_NO_SPACE);
    const small = open({}, undefined, 1);
    small.mapping.map(buffer, 16, ToDevice, small.words, 0);
    expect(small.mapping.map(buffer, 16, ToDevice, small.words, 0)).toBe(DMA_NO_SPACE);
  });

  it('does not reach what is not memory, or what the kernel refuses', () => {
    const { memory, mapping, words } = open();
    expect(mapping.map(memory.size - 8, 16, ToDevice, words, 0)).toBe(DMA_UNREACHABLE);
    const refused = open({}, (container) => ({
      type: container.type,
      info: () => container.info(),
      checkExtension: (extension) => container.checkExtension(extension),
      mapDma: () => EINVAL,
      unmapDma: (iova, size) => container.unmapDma(iova, size),
    }));
    expect(refused.mapping.map(PAGE_SIZE, 16, ToDevice, refused.words, 0)).toBe(DMA_UNREACHABLE);
    expect(refused.mapping.statistics.live).toBe(0);
  });

  it('takes each id once', () => {
    const { memory, mapping, words } = open();
    const id = mapping.map(memory.allocate(PAGE_SIZE), 16, ToDevice, words, 0);
    mapping.unmap(id, 0);
    expect(() => mapping.unmap(id, 0)).toThrow(RangeError);
    expect(() => mapping.syncForCpu(id, 0, 1)).toThrow(RangeError);
  });

  it('never reuses an address that the kernel did not unmap', () => {
    const { memory, mapping, words, platform } = open({}, (container) => ({
      type: container.type,
      info: () => container.info(),
      checkExtension: (extension) => container.checkExtension(extension),
      mapDma: (address, iova, size, flags) => container.mapDma(address, iova, size, flags),
      unmapDma: () => EINVAL,
    }));
    const buffer = memory.allocate(PAGE_SIZE);
    const seen = new Set<number>();
    for (let i = 0; i < 8; i++) {
      mapping.unmap(mapping.map(buffer, 16, ToDevice, words, 0), 0);
      seen.add(addressOf(words));
    }
    expect(seen.size).toBe(8);
    expect(mapping.map(buffer, 16, ToDevice, words, 0)).toBe(DMA_NO_SPACE);
    expect(platform.leakedBytes).toBe(8 * PAGE_SIZE);
    expect(platform.leaks.entries[0]).toEqual({
      what: expect.stringMatching(/^the kernel did not unmap I\/O virtual address 0x[0-9a-f]+$/),
      address: buffer - (buffer % PAGE_SIZE),
      length: PAGE_SIZE,
    });
    expect(mapping.statistics).toMatchObject({ live: 0, leaked: 8 });
  });
});

describe('VfioDmaMapping.premap', () => {
  it('maps whole pages around the range', () => {
    const { memory, mapping, words, space, platform } = open();
    const buffer = memory.allocate(4 * PAGE_SIZE) + 100;
    const region = mapping.premap(buffer, 2 * PAGE_SIZE, ToDevice);
    region.writeDeviceAddress(0, words, 0);
    expect(space.borrow(words[0]!, words[1]!, 2 * PAGE_SIZE, 'read')).toBe(buffer);
    // Its neighbours in the first page can be seen too.
    expect(space.borrow(words[0]! - 100, words[1]!, 100, 'read')).toBe(buffer - 100);
    expect(platform.pinnedBytes).toBe(3 * PAGE_SIZE);
    region.writeDeviceAddress(5000, words, 0);
    expect(space.borrow(words[0]!, words[1]!, 1, 'read')).toBe(buffer + 5000);
    region.release();
    expect(platform.pinnedBytes).toBe(0);
    expect(() => region.release()).toThrow(RangeError);
  });

  it('maps two ranges of one page at two addresses', () => {
    const { memory, mapping, words, space } = open();
    const page = memory.allocate(PAGE_SIZE);
    const regions = [mapping.premap(page, 100, ToDevice), mapping.premap(page + 100, 100, FromDevice)];
    const addresses = regions.map((region) => {
      region.writeDeviceAddress(0, words, 0);
      return addressOf(words);
    });
    expect(new Set(addresses).size).toBe(2);
    expect(space.borrow(addresses[0]!, 0, 100, 'write')).toBe(-1);
    expect(space.borrow(addresses[1]! % 2 ** 32, Math.floor(addresses[1]! / 2 ** 32), 100, 'write')).toBe(page + 100);
  });

  it('says what is pinned, what the limit is and what to raise it to', () => {
    const { mapping, memory } = open({ memoryLockLimit: '64KiB' });
    const buffer = memory.allocate(64 * 1024);
    mapping.premap(buffer, 16 * 1024, ToDevice);
    expect(() => mapping.premap(buffer, 64 * 1024, ToDevice)).toThrow(
      expect.objectContaining({
        code: 'ERR_DMA_EXHAUSTED',
        message: expect.stringMatching(
          /cannot map 65536 bytes .*ENOMEM; 16384 bytes are pinned, of the 65536 that may be/,
        ),
        hint: expect.stringContaining('ulimit -l 80;'),
      }),
    );
    expect(mapping.statistics.live).toBe(1);
  });

  it('says how many mappings the container takes', () => {
    const { mapping, memory } = open({ entryLimit: 1 });
    const buffer = memory.allocate(PAGE_SIZE);
    mapping.premap(buffer, 16, ToDevice);
    expect(() => mapping.premap(buffer, 16, ToDevice)).toThrow(
      expect.objectContaining({
        code: 'ERR_DMA_EXHAUSTED',
        message: expect.stringContaining('ENOSPC; the container takes 0 more mappings'),
        hint: expect.stringContaining('entryLimit'),
      }),
    );
  });

  it.each([
    [-PAGE_SIZE, 16],
    [2 ** 22, 16],
    [PAGE_SIZE, 0],
  ])('refuses %i + %i', (address, length) => {
    const { mapping } = open();
    expect(() => mapping.premap(address, length, ToDevice)).toThrow(expect.objectContaining({ code: 'ERR_DMA_RANGE' }));
  });

  it('names the errno of any other refusal', () => {
    const { memory, mapping } = open({}, (container) => ({
      type: container.type,
      info: () => container.info(),
      checkExtension: (extension) => container.checkExtension(extension),
      mapDma: () => EINVAL,
      unmapDma: (iova, size) => container.unmapDma(iova, size),
    }));
    const region = (): unknown => mapping.premap(memory.allocate(PAGE_SIZE), 16, ToDevice);
    expect(region).toThrow(
      expect.objectContaining({ code: 'ERR_DMA_RANGE', message: expect.stringContaining('EINVAL') }),
    );
  });
});

describe('VfioDmaMapping.allocateCoherent', () => {
  it('aligns both addresses and fills whole pages', () => {
    const { memory, mapping, words, space, platform } = open();
    const region = mapping.allocateCoherent(5000, 64 * 1024);
    region.writeDeviceAddress(0, words, 0);
    expect(region.address % (64 * 1024)).toBe(0);
    expect(addressOf(words) % (64 * 1024)).toBe(0);
    expect(space.borrow(words[0]!, words[1]!, 2 * PAGE_SIZE, 'write')).toBe(region.address);
    expect(space.borrow(words[0]! + 2 * PAGE_SIZE, words[1]!, 1, 'read')).toBe(-1);
    expect(memory.allocated).toBe(2 * PAGE_SIZE);
    region.release();
    expect(memory.allocated).toBe(0);
    expect(platform.pinnedBytes).toBe(0);
  });

  it('gives its memory back when the kernel refuses', () => {
    const { memory, mapping } = open({ memoryLockLimit: PAGE_SIZE });
    expect(() => mapping.allocateCoherent(2 * PAGE_SIZE, 16)).toThrow(
      expect.objectContaining({ code: 'ERR_DMA_EXHAUSTED' }),
    );
    expect(memory.allocated).toBe(0);
  });

  it('keeps memory that the kernel did not unmap from being used again', () => {
    const { memory, mapping, platform } = open({}, (container) => ({
      type: container.type,
      info: () => container.info(),
      checkExtension: (extension) => container.checkExtension(extension),
      mapDma: (address, iova, size, flags) => container.mapDma(address, iova, size, flags),
      unmapDma: () => 0,
    }));
    mapping.allocateCoherent(PAGE_SIZE, 16).release();
    expect(memory.allocated).toBe(PAGE_SIZE);
    expect(platform.leakedBytes).toBe(PAGE_SIZE);
  });
});

describe('VfioDmaMapping with pages of 64 KiB', () => {
  const KIB64 = 2 ** 16;
  const large = { pageSize: '64KiB', memoryLockLimit: '64MiB' } as const;

  it('says its granule, and that coherent memory and pools fill whole pages', () => {
    const { mapping, platform, memory } = open(large);
    expect(mapping.limits.granule).toBe(KIB64);
    const region = mapping.allocateCoherent(100, 16);
    const words = new Uint32Array(2);
    region.writeDeviceAddress(0, words, 0);
    expect([region.address % KIB64, words[0]! % KIB64]).toEqual([0, 0]);
    mapping.premap(memory.allocate(KIB64, KIB64), KIB64, Bidirectional);
    expect(platform.statistics).toEqual({});
  });

  it('shows the device what lies beside a buffer, and says how much that was at most', () => {
    const { memory, mapping, words, space, platform } = open(large);
    const page = memory.allocate(2 * KIB64, KIB64);
    const id = mapping.map(page + 5000, 100, ToDevice, words, 0);
    expect(space.borrow(words[0]!, words[1]!, 100, 'read')).toBe(page + 5000);
    expect(space.borrow(words[0]! - 5000, words[1]!, 100, 'read')).toBe(page);
    expect(platform.statistics).toEqual({ 'bytes beside buffers': { most: KIB64 - 100 } });
    mapping.unmap(id, 0);
    mapping.map(page, KIB64, ToDevice, words, 0);
    expect(platform.statistics).toEqual({ 'bytes beside buffers': { most: KIB64 - 100 } });
  });

  it('maps no part of a page where that is to be refused, and says why of a region', () => {
    const { memory, mapping, words, container } = open({ ...large, partialPages: 'refuse' });
    const page = memory.allocate(2 * KIB64, KIB64);
    expect(mapping.map(page, KIB64 - 1, ToDevice, words, 0)).toBe(DMA_UNREACHABLE);
    expect(mapping.map(page + PAGE_SIZE, KIB64, ToDevice, words, 0)).toBe(DMA_UNREACHABLE);
    expect([...words]).toEqual([0xdead_beef, 0xdead_beef]);
    expect(() => mapping.premap(page + PAGE_SIZE, KIB64, ToDevice)).toThrow(
      expect.objectContaining({
        code: 'ERR_DMA_RANGE',
        message: `65536 bytes at 0x${(page + PAGE_SIZE).toString(16)} do not fill whole pages of 64KiB: the device would also reach what lies beside them`,
      }),
    );
    expect(container.unmapDma(0, 0, 2)).toBe(0);
    expect(mapping.map(page, 2 * KIB64, ToDevice, words, 0)).toBeGreaterThanOrEqual(0);
  });

  it('reaches no memory behind the last whole page', () => {
    const { memory, mapping, words } = open(large);
    expect(mapping.limits.reach).toBe(Math.floor(memory.size / KIB64) * KIB64);
    expect(mapping.map(mapping.limits.reach!, 16, ToDevice, words, 0)).toBe(DMA_UNREACHABLE);
  });
});

describe('VfioPlatform.exec', () => {
  it('keeps what is mapped: buffers, regions and rings, and unmaps them afterwards', () => {
    const { memory, mapping, words, space, platform, container } = open({ memoryLockLimit: '1MiB' });
    const buffer = memory.allocate(4 * PAGE_SIZE) + 100;
    const region = mapping.allocateCoherent(3 * PAGE_SIZE, 16);
    const id = mapping.map(buffer, 2 * PAGE_SIZE, ToDevice, words, 0);
    const locked = container.info().lockedBytes;
    for (let i = 0; i < 3; i++) platform.exec();
    expect(container.info().lockedBytes).toBe(locked);
    expect(space.borrow(words[0]!, words[1]!, 16, 'read')).toBe(buffer);
    const ring = new Uint32Array(2);
    region.writeDeviceAddress(0, ring, 0);
    expect(space.borrow(ring[0]!, ring[1]!, 16, 'write')).toBe(region.address);
    mapping.unmap(id, 0);
    region.release();
    expect(container.info().lockedBytes).toBe(0);
    platform.exec();
    mapping.map(buffer, 16, ToDevice, words, 0);
    expect(space.borrow(words[0]!, words[1]!, 16, 'read')).toBe(buffer);
  });

  it.each(['iommufd', 'iommufd-type1v2', 'spapr-v1'] as const)('is refused by a container of %s', (container) => {
    const { platform } = startProcess({ container, memoryLockLimit: '2GiB' });
    expect(() => platform.exec()).toThrow(expect.objectContaining({ code: 'ERR_PLUGIN_EXEC' }));
  });

  it('is refused by a kernel without the extension, before anything is invalidated', () => {
    const { platform, mapping, memory, words, container } = open({}, (kernel) =>
      Object.assign(kernel, { checkExtension: () => 0 }),
    );
    mapping.map(memory.allocate(PAGE_SIZE), PAGE_SIZE, ToDevice, words, 0);
    expect(() => platform.exec()).toThrow(/keeps no mappings over exec/);
    // Its memory is still valid.
    expect(container.mapDma(0, 0, PAGE_SIZE, 4)).toBe(EINVAL);
  });

  it('says where the kernel refuses it although it has the extension', () => {
    const { platform, mapping, memory, words } = open({}, (kernel) => {
      const unmapDma = kernel.unmapDma.bind(kernel);
      return Object.assign(kernel, {
        unmapDma: (iova: number, size: number, flags = 0) => ((flags & 4) === 0 ? unmapDma(iova, size, flags) : EINVAL),
      });
    });
    mapping.map(memory.allocate(PAGE_SIZE), PAGE_SIZE, ToDevice, words, 0);
    expect(() => platform.exec()).toThrow(/cannot update the memory addresses of mappings: EINVAL/);
  });
});
