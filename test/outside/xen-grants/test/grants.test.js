import { DMA_NO_SPACE, DMA_UNREACHABLE, DmaDirection } from '@virtio-platform/core/dma';
import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import { GrantTable } from '../src/grant-table.js';
import { xenOptionsSchema } from '../src/options.js';
import { XenPlatform } from '../src/xen-platform.js';

const { ToDevice, FromDevice } = DmaDirection;

function open(given = {}) {
  const options = xenOptionsSchema.parse(given);
  const memory = new GuestMemory(new SharedArrayBuffer(256 * PAGE_SIZE));
  const table = GrantTable.create(options.entries);
  const platform = new XenPlatform(options, memory, table);
  const mapping = platform.openMapping('granted', { queue: 0, capacity: 64 });
  const words = new Uint32Array(2);
  const map = (address, length, direction = ToDevice) => mapping.map(address, length, direction, words, 0);
  const reference = () => Math.floor(words[0] / PAGE_SIZE);
  return { memory, table, platform, mapping, words, map, reference, grants: () => platform.statistics.grants };
}

describe('a granted buffer', () => {
  it('is bit 63, the number of its first grant, and the offset in the page', () => {
    const { memory, table, mapping, words, map, reference } = open();
    const buffer = memory.allocate(3 * PAGE_SIZE) + 100;
    expect(map(buffer, 2 * PAGE_SIZE)).toBeGreaterThanOrEqual(0);
    expect([words[1], words[0] % PAGE_SIZE]).toEqual([0x8000_0000, 100]);
    const frame = Math.floor(buffer / PAGE_SIZE);
    for (let i = 0; i < 3; i++) expect(table.frameOf(reference() + i)).toBe(frame + i);
    expect(mapping.resolve(words[0], words[1])).toBe(buffer);
    expect(mapping.resolve(words[0], 0)).toBe(-1);
  });

  it('is granted to the named domain alone, and for writing only where the device writes', () => {
    const { memory, table, map, reference } = open({ domain: 3 });
    const buffer = memory.allocate(PAGE_SIZE);
    map(buffer, 16, ToDevice);
    expect([table.map(reference(), 2, false), table.map(reference(), 3, true)]).toEqual([-2, -3]);
    map(buffer, 16, FromDevice);
    expect(table.map(reference(), 3, true)).toBe(buffer / PAGE_SIZE);
  });

  it('finds no space in a table that is full, and then again', () => {
    const { memory, mapping, map, grants } = open({ entries: 16 });
    const buffer = memory.allocate(PAGE_SIZE);
    const ids = Array.from({ length: 8 }, () => map(buffer, 16));
    expect([map(buffer, 16), grants()]).toEqual([DMA_NO_SPACE, { used: 8, most: 8, free: 0, inUse: 0, exhausted: 1 }]);
    mapping.unmap(ids[3], 0);
    expect(map(buffer, 16)).toBeGreaterThanOrEqual(0);
  });
});

describe('a grant that is still in use', () => {
  it('leaks with its page, disables the device, and leaves the rest alone', () => {
    const { memory, table, platform, mapping, map, reference, grants } = open();
    const [buffer, other] = [memory.allocate(2 * PAGE_SIZE), memory.allocate(PAGE_SIZE)];
    const [first, second] = [map(buffer, 2 * PAGE_SIZE), map(other, 16)];
    table.map(reference() - 1, 0, false);
    mapping.unmap(first, 0);
    expect(platform.leaks.entries).toEqual([
      { what: 'of the grants 8 to 9 some are still in use by domain 0', address: buffer, length: 2 * PAGE_SIZE },
    ]);
    expect(mapping.statistics).toMatchObject({ live: 1, leaked: 1 });
    expect(grants()).toMatchObject({ used: 1, inUse: 1 });
    expect(map(other, 16)).toBe(DMA_UNREACHABLE);
    expect(() => mapping.premap(other, 16, ToDevice)).toThrow(/the device is disabled/);
    // The driver may free the buffer, and nothing else gets it.
    memory.free(buffer);
    expect(memory.allocate(2 * PAGE_SIZE)).not.toBe(buffer);
    mapping.unmap(second, 0);
    expect(mapping.statistics).toMatchObject({ live: 0, leaked: 1 });
  });

  it('is taken back with the last buffer once the back-end dropped it', () => {
    const { memory, table, platform, mapping, map, reference, grants } = open();
    const region = mapping.allocateCoherent(64, 64);
    const buffer = memory.allocate(PAGE_SIZE);
    const id = map(buffer, 16);
    table.map(reference(), 0, false);
    mapping.unmap(id, 0);
    memory.free(buffer);
    table.unmap(reference());
    expect(platform.leaks.count).toBe(1);
    region.release();
    expect([platform.leaks.count, mapping.statistics.leaked, memory.allocated]).toEqual([0, 0, 0]);
    expect(grants()).toMatchObject({ used: 0, inUse: 0 });
    expect(map(memory.allocate(PAGE_SIZE), 16)).toBeGreaterThanOrEqual(0);
  });

  it('keeps the memory of a ring allocated', () => {
    const { memory, table, platform, mapping, words } = open();
    const region = mapping.allocateCoherent(64, 64);
    region.writeDeviceAddress(0, words, 0);
    table.map(Math.floor(words[0] / PAGE_SIZE), 0, true);
    region.release();
    platform.dispose();
    expect([memory.allocated, platform.leaks.count]).toEqual([PAGE_SIZE, 1]);
  });
});

describe('options', () => {
  it.each([
    [{ grants: false }, 'a pv guest always grants'],
    [{ emulatedIommu: true }, 'only an hvm guest without grants'],
    [{ guest: 'hvm', grants: true, emulatedIommu: true }, 'only an hvm guest without grants'],
    [{ domain: 0x7ff0 }, 'domain'],
    [{ entries: 8 }, 'entries'],
    [{ failures: { keep: { evry: 2 } } }, 'evry'],
  ])('refuse %j', (given, message) => {
    const { success, error } = xenOptionsSchema.safeParse(given);
    expect([success, JSON.stringify(error?.issues)]).toEqual([false, expect.stringContaining(message)]);
  });
});
